import assert from "node:assert/strict";
import { openPage } from "../../tasks/open_page.ts";
import { Output } from "../../tasks/output.ts";
import { withFolder } from "../training/tiny.ts";
import { runTask, taskCommand, TINY } from "./child.ts";

/** Hears what a task says. */
class Heard extends Output {
  readonly lines: string[] = [];

  override say(line: string): void {
    this.lines.push(line);
  }
}

/** Makes openers that write what they are given to the file `given`, and an environment in which they are found. */
async function withOpeners(folder: string): Promise<Record<string, string>> {
  for (const name of ["xdg-open", "open"]) {
    await Deno.writeTextFile(`${folder}/${name}`, `#!/bin/sh\necho "$1" >> '${folder}/given'\n`);
    await Deno.chmod(`${folder}/${name}`, 0o755);
  }
  return { PATH: `${folder}:${Deno.env.get("PATH")}` };
}

Deno.test("a page is passed to the program as one argument, whatever its name contains", () =>
  withFolder(async (folder) => {
    const opener = `${folder}/opener`, page = `${folder}/a b; $(touch x).html`;
    await Deno.writeTextFile(opener, `#!/bin/sh\nprintf '%s' "$#$1" > '${folder}/given'\n`);
    await Deno.chmod(opener, 0o755);
    const heard = new Heard(false);
    await openPage(page, heard, opener);
    assert.equal(await Deno.readTextFile(`${folder}/given`), `1${page}`);
    const address = new URL("http://localhost:8000/");
    await openPage(address, heard, opener);
    assert.equal(await Deno.readTextFile(`${folder}/given`), `1${address}`);
    assert.deepEqual(heard.lines, []);
  }));

Deno.test("a page that cannot be opened is named with the reason", async () => {
  const heard = new Heard(false);
  await openPage("report.html", heard, "no-such-opener");
  await openPage("report.html", heard, "false");
  assert.deepEqual(heard.lines, [
    "Cannot open report.html: no-such-opener must be installed, got none. Open it in a browser yourself.",
    "Cannot open report.html: false must open it, got the exit code 1. Open it in a browser yourself.",
  ]);
});

Deno.test("--open opens the page that train, ablate, collect or compare has written", () =>
  withFolder(async (folder) => {
    const env = await withOpeners(folder);
    const run = `${folder}/run`, study = `${folder}/study.json`, out = `${folder}/study`;
    const device = ["--device", "cpu", "--open"];
    const trained = await runTask("train", [...TINY, ...device, "--out", run], env);
    assert.equal(trained.code, 0, trained.stderr);
    const axes = [{ path: "quantizer.type", values: ["ema"] }];
    await Deno.writeTextFile(study, JSON.stringify({ name: "one", axes, seeds: [1] }));
    const studied = await runTask("ablate", [study, ...TINY, ...device, "--out", out], env);
    assert.equal(studied.code, 0, studied.stderr);
    const collected = await runTask("ablate", ["collect", out, "--open"], env);
    assert.equal(collected.code, 0, collected.stderr);
    const [{ name }] = Deno.readDirSync(`${out}/runs`), other = `${out}/runs/${name}`;
    const both = `${folder}/both.html`;
    const compared = await runTask("compare", [run, other, "--out", both, "--open"], env);
    assert.equal(compared.code, 0, compared.stderr);
    const given = (await Deno.readTextFile(`${folder}/given`)).trim().split("\n");
    assert.deepEqual(given, [
      ...[`${run}/report.html`, `${out}/study.html`, `${out}/study.html`, both],
    ]);
    for (const page of given) assert.match(await Deno.readTextFile(page), /<h1>/);
  }));

Deno.test("page --serve --open opens the served page", () =>
  withFolder(async (folder) => {
    const env = await withOpeners(folder);
    await using child = taskCommand("page", ["--serve", "--open", "--port", "0"], env).spawn();
    const errors = child.stderr.text();
    let text = "";
    for await (const part of child.stdout.pipeThrough(new TextDecoderStream())) {
      text += part;
      const address = text.match(/served at (http:\S+)/)?.[1];
      if (address === undefined) continue;
      assert.match(await (await fetch(address)).text(), /<title>Codebook<\/title>/);
      while (await Deno.readTextFile(`${folder}/given`).catch(() => "") !== `${address}\n`) {
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
      child.kill();
    }
    assert.equal((await child.status).signal, "SIGTERM", await errors);
    assert.match(text, /until Ctrl-C/);
  }));

Deno.test("page --open needs --serve, since a browser does not run the page from a file", async () => {
  const { code, stderr } = await runTask("page", ["--open"]);
  assert.equal(code, 2);
  assert.match(stderr, /--open must be given with --serve, got it alone/);
});
