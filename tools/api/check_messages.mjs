// Validates an AsyncAPI document, and the patterns of an OpenAPI document as ECMA 262 defines them:
// node check_messages.mjs ASYNCAPI OPENAPI. Prints one line for each error.
import { readFileSync } from "node:fs";
import { Parser } from "@asyncapi/parser";

const [asyncapi, openapi] = process.argv.slice(2).map((file) => readFileSync(file, "utf8"));

const { diagnostics } = await new Parser().parse(asyncapi);
// Severity 0 is an error, and 1 a warning. Higher values are hints, such as a newer version.
for (const { severity, path, message } of diagnostics.filter(({ severity }) => severity < 2)) {
  console.log(`${path.join(".")}: ${message} (severity ${severity})`);
}

JSON.parse(openapi, (key, value) => {
  if (key === "pattern" && typeof value === "string") {
    try {
      new RegExp(value, "u");
    } catch (error) {
      console.log(error.message);
    }
  }
  for (const example of value?.pattern && value.examples ? value.examples : []) {
    if (!new RegExp(value.pattern, "u").test(example)) console.log(`${example}: ${value.pattern}`);
  }
  return value;
});
