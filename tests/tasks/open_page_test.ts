import assert from "node:assert/strict";
import { openPage } from "../../tasks/open_page.ts";
import { Output } from "../../tasks/output.ts";
import { withFolder } from "../training/tiny.ts";

/** Hears what a task says. */
class Heard extends Output {
  readonly lines: string[] = [];

  override say(line: string): void {
    this.lines.push(line);
  }
}

Deno.test("a page is given to the program as one whole path, whatever is in its name", () =>
  withFolder(async (folder) => {
    const opener = `${folder}/opener`, page = `${folder}/a b; $(touch x).html`;
    await Deno.writeTextFile(opener, `#!/bin/sh\nprintf '%s' "$#$1" > '${folder}/given'\n`);
    await Deno.chmod(opener, 0o755);
    const heard = new Heard(false);
    await openPage(page, heard, opener);
    assert.equal(await Deno.readTextFile(`${folder}/given`), `1${page}`);
    assert.deepEqual(heard.lines, []);
  }));

Deno.test("a page that cannot be opened is named with the reason", async () => {
  const heard = new Heard(false);
  await openPage("report.html", heard, "no-such-opener");
  await openPage("report.html", heard, "false");
  assert.deepEqual(heard.lines, [
    "Cannot open report.html: no-such-opener must be installed, got none",
    "Cannot open report.html: false must open it, got the exit code 1",
  ]);
});
