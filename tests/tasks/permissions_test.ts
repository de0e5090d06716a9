/** The permissions that docs/security.md gives for each task: they are enough, and one that is missing is named. */
import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import type { StudyRun } from "../../studies/records.ts";
import { writeFiles } from "../data/pictures.ts";
import { openTestDevices } from "../helpers.ts";
import { FIXTURE, noisePng } from "../training/made_run.ts";
import { type Ended, folderForTests, lastLine, TINY } from "./child.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const folder = Deno.realPathSync(folderForTests());
const DIGITS = [`--allow-read=${ROOT},${folder}`, `--allow-write=${folder}`];
const DECODER = "--allow-env=npm_package_config_libvips,MALLOC_ARENA_MAX";

/** Calls deno in the project's folder, where nobody can be asked. */
async function deno(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<Ended> {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [...args],
    cwd: ROOT,
    env: {
      NO_COLOR: "1",
      CODEBOOK_DATA: `${folder}/downloads`,
      CODEBOOK_ALLOW: `--allow-write=${folder}`,
      ...env,
    },
    stdin: "null",
  }).output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code, stdout: text(stdout), stderr: text(stderr) };
}

const permitted = (flags: readonly string[], task: string, ...args: readonly string[]) =>
  deno(["run", "--no-check", "--no-prompt", ...flags, `tasks/${task}.ts`, ...args]);

function succeeded({ code, stderr }: Ended): void {
  assert.equal(code, 0, stderr);
}

/** A refusal that says in words what may not be done, and the flag. */
function missing({ code, stderr }: Ended, words: string, flag: string): void {
  assert.equal(code, 1, stderr);
  assert.match(stderr, /^Cannot /m);
  const quoted = flag.includes(" ") ? `"${flag}"` : flag;
  assert.ok(stderr.includes(`This process may not ${words}; ${quoted} grants it: `), stderr);
  assert.doesNotMatch(stderr, /^ +at /m, "no stack trace");
}

for (const { name } of await openTestDevices()) {
  Deno.test(`permission to read the project and write the run suffices for digits and shapes on ${name}`, async () => {
    for (const data of ["digits", "shapes"]) {
      const run = `${folder}/${name}-${data}`;
      const size = data === "shapes" ? ["--data.size", "12"] : [];
      succeeded(
        await permitted(DIGITS, "train", ...TINY, ...size, ...["--data.name", data], ...[
          ...["--device", name, "--out", run],
        ]),
      );
      succeeded(await permitted(DIGITS, "evaluate", run, "--device", name, "--limit", "4"));
    }
  });
}

Deno.test("images are decoded with permission to read, to call the library, and to read two variables", async () => {
  const flags = ["--allow-read", `--allow-write=${folder}`, "--allow-ffi", DECODER];
  const args = [...TINY, "--data.name", "emoji", "--device", "cpu", "--cpu.blas", "off"];
  succeeded(await permitted(flags, "train", ...args, "--out", `${folder}/emoji`));
});

Deno.test("decoding codes needs fewer permissions than decoding images, and a missing write permission is reported first", async () => {
  const images = `${folder}/images`, codes = `${folder}/codes.safetensors`;
  await writeFiles(images, { "a.png": noisePng(28, 28, 1, 1) });
  const device = ["--device", "cpu", "--cpu.blas", "off"];
  const flags = ["--allow-read", `--allow-write=${folder}`, "--allow-ffi", DECODER];
  succeeded(await permitted(flags, "encode", FIXTURE, images, "--out", codes, ...device));
  const rebuilt = ["--out", `${folder}/rebuilt`, ...device];
  succeeded(await permitted(flags, "reconstruct", FIXTURE, images, ...rebuilt));
  succeeded(
    await permitted(DIGITS, "decode", FIXTURE, codes, "--out", `${folder}/decoded`, ...device),
  );
  const outside = "/codebook-may-not-write-here";
  missing(
    await permitted(flags, "encode", FIXTURE, images, "--out", `${outside}/a.npy`, ...device),
    `write ${outside}`,
    `--allow-write=${outside}`,
  );
});

Deno.test("a missing permission is reported with its flag", async () => {
  const out = ["--out", `${folder}/missing`];
  const train = [...TINY, "--device", "cpu", ...out];
  const [read, write, variable] = [DIGITS[0], DIGITS[1], "--allow-env=CODEBOOK_DATA"];
  missing(
    await permitted([], "train", ...train, "--data.name", "shapes"),
    `read ${ROOT}core/cpu/kernels.wasm`,
    `--allow-read=${ROOT}core/cpu/kernels.wasm`,
  );
  missing(
    await permitted([read], "train", ...train),
    `write ${folder}/missing`,
    `--allow-write=${folder}/missing`,
  );
  const mnist = [...train, "--data.name", "mnist"];
  missing(
    await permitted([read, write], "train", ...mnist),
    "read the environment variable CODEBOOK_DATA",
    variable,
  );
  const { code, stderr } = await permitted([read, write, variable], "train", ...mnist);
  assert.equal(code, 1);
  assert.match(stderr, /This process may not connect to \S+:443; --allow-net=\S+:443 grants it: /);
  missing(
    await permitted(DIGITS, "train", ...train, "--cpu.blas", "libevil.so"),
    "call the library libevil.so",
    "--allow-ffi=libevil.so",
  );
  assert.throws(() => Deno.statSync(`${folder}/missing`), Deno.errors.NotFound);
});

function study(name: string, base: object): string {
  const path = `${folder}/${name}.json`;
  const tiny = {
    device: "cpu",
    model: { hidden: 8, residualHidden: 4 },
    quantizer: { codebookSize: 8, codebookDim: 4 },
    training: { maxSteps: 2, batchSize: 16 },
  };
  const axes = [{ path: "quantizer.decay", values: [0.9] }];
  Deno.writeTextFileSync(path, JSON.stringify({ name, base: { ...tiny, ...base }, axes }));
  return path;
}

const startsRuns = [...DIGITS, `--allow-run=${Deno.execPath()}`];
const runsOf = ({ stdout }: Ended) => lastLine(stdout).runs as readonly StudyRun[];

Deno.test("a study's runs are trained with the study's permissions", async () => {
  const file = study("permitted", {});
  const out = `${folder}/study`;
  missing(
    await permitted(DIGITS, "ablate", file, "--out", out),
    `start ${Deno.execPath()}`,
    `--allow-run=${Deno.execPath()}`,
  );
  const ended = await permitted(startsRuns, "ablate", file, "--out", out, "--json");
  succeeded(ended);
  assert.deepEqual(runsOf(ended).map(({ state }) => state), ["finished"]);
});

Deno.test("a study's runs cannot read another folder or call a library if the study cannot", async () => {
  const elsewhere = Deno.makeTempDirSync({ prefix: "codebook-elsewhere-" });
  try {
    const file = study("elsewhere", { data: { name: "image-folder", path: elsewhere, size: 8 } });
    const out = `${folder}/elsewhere`;
    const ended = await permitted(startsRuns, "ablate", file, "--out", out, "--json");
    assert.equal(ended.code, 1, ended.stderr);
    assert.match(
      runsOf(ended)[0].failure!,
      /This process may not read .*codebook-elsewhere-.* grants it/,
    );
  } finally {
    Deno.removeSync(elsewhere);
  }
  const blas = ["--cpu.blas", "libm.so.6"];
  const out = `${folder}/library`;
  const ended = await permitted(
    startsRuns,
    "ablate",
    study("library", {}),
    "--out",
    out,
    "--json",
    ...blas,
  );
  assert.match(runsOf(ended)[0].failure!, /may not call the library libm\.so\.6; --allow-ffi=/);
});

Deno.test("the tasks in deno.json have the permissions they need, and report missing ones", async () => {
  const { tasks } = JSON.parse(Deno.readTextFileSync(`${ROOT}deno.json`));
  for (const [name, command] of Object.entries<string>(tasks)) {
    const confined = !["test:quick", "bench:peers"].includes(name);
    assert.equal(/ (-A|--allow-all)\b/.test(command), !confined, name);
    const runs = ["ablate", "check", "fuzz", "page", "test"].includes(name);
    if (confined) assert.equal(command.includes("--allow-run"), runs, name);
  }
  const file = study("task", {});
  const out = ["--out", `${folder}/task`];
  const task = (...words: readonly string[]) => deno(["task", ...words]);
  succeeded(await task("train", ...TINY, "--device", "cpu", ...out));
  succeeded(await task("evaluate", out[1], "--device", "cpu", "--limit", "4"));
  succeeded(await task("ablate", file, "--out", `${folder}/task-study`));
  succeeded(await task("card", FIXTURE, "--out", `${folder}/task-card`));
  succeeded(await task("compare", out[1], FIXTURE, "--out", `${folder}/c.html`));
  const onnx = ["--format", "onnx", "--size", "28", "--out", `${folder}/task-onnx`];
  succeeded(await task("export", FIXTURE, ...onnx));
  succeeded(await task("doctor"));
  await writeFiles(`${folder}/task-images`, { "a.png": noisePng(28, 28, 1, 1) });
  const codes = `${folder}/task.safetensors`, cpu = ["--device", "cpu"];
  succeeded(await task("encode", FIXTURE, `${folder}/task-images`, "--out", codes, ...cpu));
  succeeded(await task("decode", FIXTURE, codes, "--out", `${folder}/task-decoded`, ...cpu));
  succeeded(
    await task("reconstruct", FIXTURE, `${folder}/task-images`, "--out", `${folder}/r`, ...cpu),
  );
  const outside = "/codebook-may-not-write-here";
  missing(
    await task("train", ...TINY, "--device", "cpu", "--out", outside),
    `write ${outside}`,
    `--allow-write=${outside}`,
  );
});

Deno.test("the tasks in deno.json work if the home folder's name has a space", async () => {
  const { tasks } = JSON.parse(Deno.readTextFileSync(`${ROOT}deno.json`));
  const { denoDir } = JSON.parse((await deno(["info", "--json"])).stdout);
  const home = { HOME: `${folder}/a home`, DENO_DIR: denoDir };
  const names = Object.keys(tasks).filter((name) => tasks[name].includes("$HOME"));
  assert.ok(names.includes("train"));
  for (const name of names) succeeded(await deno(["task", name, "--help"], home));
});
