import { useState } from "react";
import type { Api } from "../api";

/** Uploads the file with a presigned form, and uses it as the avatar. Returns its address. */
async function upload(api: Api, file: File): Promise<string> {
  const { data: signed, error } = await api.POST("/v1/profile/avatar", {
    body: { contentType: file.type as "image/png", contentLength: file.size },
  });
  if (!signed) {
    throw new Error(error.detail);
  }
  const form = new FormData();
  Object.entries(signed.upload.fields).forEach(([name, value]) => form.append(name, String(value)));
  form.append("file", file);
  const stored = await fetch(signed.upload.url, { method: "POST", body: form });
  if (!stored.ok) {
    throw new Error(`S3: ${stored.status} ${await stored.text()}`);
  }
  const used = await api.PUT("/v1/profile/avatar", { body: { key: signed.key } });
  if (!used.data) {
    throw new Error(used.error.detail);
  }
  return used.data.avatarUrl!;
}

export default function Pictures({ api }: { api: Api }) {
  const [address, setAddress] = useState("");
  const [state, setState] = useState("No picture");

  async function choose(event: React.ChangeEvent<HTMLInputElement>): Promise<void> {
    try {
      setAddress(await upload(api, event.target.files![0]));
    } catch (error) {
      setState((error as Error).message);
    }
  }

  return (
    <>
      <h1>Pictures</h1>
      <label>
        Picture <input type="file" accept="image/png" onChange={choose} />
      </label>
      <p role="status">{state}</p>
      {address && (
        <img
          src={address}
          alt="The avatar"
          onLoad={(event) => setState(`Shown, ${event.currentTarget.naturalWidth} px wide`)}
          onError={() => setState("The picture cannot be loaded")}
        />
      )}
    </>
  );
}
