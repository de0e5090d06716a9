import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { placesOf } from "../../studies/run_permissions.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const CHILD = fileURLToPath(new URL("permissions_child.ts", import.meta.url));

/** The flags that a process with some permissions gives the process of a run, and what launches one. */
async function flagsOf(permissions: readonly string[], run: string, saved: unknown) {
  const { stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-check", "--no-prompt", ...permissions, CHILD, run, JSON.stringify(saved)],
    cwd: ROOT,
    env: { CODEBOOK_DATA: "/downloads" },
  }).output();
  const text = new TextDecoder().decode(stdout);
  assert.ok(text !== "", new TextDecoder().decode(stderr));
  const [own, launch]: readonly string[][] = JSON.parse(text);
  return { own, launch };
}

const DIGITS = { data: { name: "digits" }, cpu: { blas: "auto", dnn: "auto" } };
const MNIST = { data: { name: "mnist", root: null } };
const SHARDS = {
  data: {
    name: "webdataset",
    train: "https://a.example/{0..9}.tar,/data/{0..9}.tar",
    test: "/test",
  },
};

Deno.test("a process with all permissions gives a run only what it needs, and no right to start processes", async () => {
  const { own } = await flagsOf(["-A"], "/runs/a", DIGITS);
  assert.deepEqual(own.slice(0, 4), [
    "--no-prompt",
    "--allow-read",
    "--allow-write=/runs/a",
    "--allow-ffi",
  ]);
  assert.deepEqual(own.slice(4).map((flag) => flag.split("=")[0]), ["--allow-env", "--allow-sys"]);

  const mnist = (await flagsOf(["-A"], "/runs/a", MNIST)).own;
  for (const flag of ["--allow-write=/runs/a,/downloads", "--allow-net"]) {
    assert.ok(mnist.includes(flag), `${flag} in ${mnist}`);
  }
  const shards = (await flagsOf(["-A"], "/runs/a", SHARDS)).own;
  assert.ok(shards.includes("--allow-net=a.example"), shards.join(" "));
});

Deno.test("a run gets no more permissions than the process has", async () => {
  assert.deepEqual((await flagsOf([], "/runs/a", MNIST)).own, ["--no-prompt"]);
  const some = ["--allow-read=/runs,/data", "--allow-write=/runs", "--allow-net=b.example"];
  assert.deepEqual(
    (await flagsOf([...some, "--allow-ffi=libopenblas.so.0"], "/runs/a", SHARDS)).own,
    [
      ...["--no-prompt", "--allow-read=/runs/a,/data/", "--allow-write=/runs/a"],
      "--allow-ffi=libopenblas.so.0",
    ],
  );
  const outside = await flagsOf(["--allow-write=/elsewhere"], "/runs/a", DIGITS);
  assert.deepEqual(outside.own, ["--no-prompt"]);
  const denied = await flagsOf(["--allow-read", "--deny-read=/secret"], "/runs/a", DIGITS);
  assert.deepEqual(denied.own, ["--no-prompt", `--allow-read=${ROOT},/runs/a`]);
});

Deno.test("a folder name that a flag cannot list needs the full permission", async () => {
  const write = (flags: readonly string[]) =>
    flags.find((flag) => flag.startsWith("--allow-write"));
  assert.equal(write((await flagsOf(["-A"], "/runs/a,b", DIGITS)).own), "--allow-write");
  const { own } = await flagsOf(["--allow-write=/runs"], "/runs/a,b", DIGITS);
  assert.equal(write(own), undefined);
});

Deno.test("external launches get the permission kinds of this process, and may start the run", async () => {
  const { launch } = await flagsOf(["--allow-read", "--allow-env"], "/study", DIGITS);
  const kinds = launch.map((flag) => flag.split("=")[0]);
  assert.deepEqual(kinds, [
    ...["--no-prompt", "--allow-read", "--allow-write", "--allow-run"],
    ...["--allow-env", "--allow-sys"],
  ]);
  assert.equal(launch[2], "--allow-write=/study,/downloads");
  const whole = (await flagsOf(["-A"], "/study", DIGITS)).launch;
  assert.ok(whole.includes("--allow-net") && whole.includes("--allow-ffi"), whole.join(" "));
});

Deno.test("paths are read from any configuration, even an invalid one", () => {
  const none = { folder: "a", data: [], root: undefined, libraries: [] };
  for (const saved of [null, 3, [], "text", {}, { data: 3, cpu: null }, { data: { path: 7 } }]) {
    assert.deepEqual(placesOf("a", saved), none, JSON.stringify(saved));
  }
});
