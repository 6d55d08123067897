"""Takes the screenshots that docs/console.md shows, from the console of a platform on this machine.

python -m tools.console_pictures [ROOT [ADDRESS]]

ROOT is the root directory of the platform (default: .local). ADDRESS is the address of the console
to photograph (default: the address of the console that `ops up` started for ROOT). The tool fills
the platform with demonstration data, sends requests, some of which are rejected, and puts a message
into a dead-letter queue. Requires Chromium on the PATH.
"""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import urllib3
from playwright.sync_api import Page, ViewportSize, sync_playwright

from ops.cloud import EMBEDDED, Cloud, connect
from ops.local.console_process import console_address
from ops.root import DEFAULT_ROOT, PROJECT, Root
from ops.seed import seed_community
from ops.terraform.state import outputs
from tools.chromium import CHROMIUM

IMAGES = PROJECT / "docs" / "images"
SIZE: ViewportSize = {"width": 1440, "height": 700}
SCALE = 0.85
"""Pixels of the picture per CSS pixel. Less than 1 is enough, because documents show the pictures
smaller than a screen does."""
LOAD_TIMEOUT = 60_000
"""Milliseconds to wait until a page has loaded its data."""
MAXIMUM_SIZE = 150_000
"""Maximum bytes of a picture."""
REQUESTS = 12


@dataclass
class Photographer:
    """Opens the console's pages in a browser and takes pictures of them."""

    page: Page
    directory: Path
    taken: list[Path] = field(default_factory=list)

    def take(self, name: str, view: str, prepare: Callable[[Page], object] = bool) -> None:
        """Opens a view, waits for its data, and takes a picture.

        Args:
            prepare: Called with the loaded page.
        """
        self.page.evaluate("(view) => { location.hash = `#/${view}`; }", view)
        self.page.wait_for_selector("[aria-busy]", state="detached", timeout=LOAD_TIMEOUT)
        prepare(self.page)
        # The page polls for live values, so it shows them only after a few seconds.
        self.page.wait_for_timeout(6000)
        file = self.directory / f"console-{name}.png"
        self.page.screenshot(path=file)
        assert file.stat().st_size <= MAXIMUM_SIZE, f"{file} is larger than {MAXIMUM_SIZE} bytes"
        self.taken.append(file)


def send_requests(cloud: Cloud) -> None:
    """Sends requests, some of which are rejected, and puts a message into a dead-letter queue."""
    api = outputs(cloud)["api_url"]
    with urllib3.PoolManager(ca_certs=cloud.authority) as pool:
        for number in range(REQUESTS):
            for path in ("/health", "/v1/posts", "/v1/catalog/listings", f"/v1/posts/{number}"):
                pool.request("GET", api + path, retries=False, timeout=30)
    sqs = cloud.client("sqs")
    url = sqs.get_queue_url(QueueName=outputs(cloud)["queues"]["relay-retries-dlq"])["QueueUrl"]
    sqs.send_message(QueueUrl=url, MessageBody=json.dumps({"eventId": "lost"}))


def take_pictures(root: Root, directory: Path, address: str | None = None) -> list[Path]:
    """Takes all pictures and returns their files.

    Args:
        address: The address of a console. The default is the console that `ops up` started.
    """
    cloud = connect(EMBEDDED, root)
    address = address or str(console_address(root) or "")
    assert address, "the console is not running: start it with `make up`"
    seed_community(cloud)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu", "--disable-lcd-text"]
        )
        page = browser.new_page(viewport=SIZE, device_scale_factor=SCALE)
        page.goto(f"{address}#/requests")
        traffic = threading.Thread(target=send_requests, args=(cloud,))
        traffic.start()
        photographer = Photographer(page, directory)
        traffic.join()
        photographer.take("map", "map", lambda page: page.wait_for_selector(".node.good"))
        photographer.take("requests", "requests")
        photographer.take("waterfall", "requests", open_request)
        photographer.take("functions", "functions/chat")
        photographer.take("data", "data/tables/post-posts", open_item)
        photographer.take("messages", "messages/queues")
        photographer.take("changes", "changes/cost", run_report)
        browser.close()
    return photographer.taken


def open_request(page: Page) -> None:
    """Opens the latest request that wrote data, because its waterfall has the most steps."""
    page.get_by_label("Search").fill("POST /v1/posts")
    page.locator(".rows a").first.click()
    page.wait_for_selector(".waterfall", timeout=LOAD_TIMEOUT)
    page.locator(".waterfall summary", has_text="function").first.click()


def run_report(page: Page) -> None:
    """Opens the cost report, and waits until its result is shown, which takes about 10 s."""
    page.get_by_role("button", name="Run").click()
    page.wait_for_selector("table", timeout=LOAD_TIMEOUT)


def open_item(page: Page) -> None:
    page.locator(".items summary").first.click()


if __name__ == "__main__":
    directory = Path(sys.argv[1]) if len(sys.argv) > 1 else DEFAULT_ROOT
    for picture in take_pictures(Root(directory), IMAGES, *sys.argv[2:3]):
        print(f"{picture.stat().st_size:>7}  {picture}")
