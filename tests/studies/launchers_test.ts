import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { Job } from "kubernetes-models/batch/v1/Job";
import { KubernetesLauncher, type KubernetesOptions } from "../../studies/launchers/kubernetes.ts";
import { LocalLauncher } from "../../studies/launchers/local.ts";
import { PrintLauncher } from "../../studies/launchers/print.ts";
import { SlurmLauncher } from "../../studies/launchers/slurm.ts";
import { launchStudy } from "../../studies/run_study.ts";
import type { Study } from "../../studies/study.ts";

const folder = Deno.makeTempDirSync({ prefix: "codebook launchers-" });
Deno.test.afterAll(() => Deno.removeSync(folder, { recursive: true }));

const sizes: Study = {
  name: "sizes",
  axes: [{ path: "quantizer.codebookSize", values: [8, 16] }],
  seeds: [1, 2],
};
const hashesIn = (out: string) => [...Deno.readDirSync(`${out}/runs`)].map(({ name }) => name);

Deno.test("a printed command gives a shell the run's folder, and each run has its configuration", async () => {
  const out = `${folder}/it's "here" $HOME`;
  const { next } = await launchStudy(sizes, new PrintLauncher(), { out });
  assert.equal(next.length, 4);
  const script = next.map((command) => `printf '%s\\n' ${command}`).join("\n");
  const { stdout } = await new Deno.Command("sh", { args: ["-c", script] }).output();
  const words = new TextDecoder().decode(stdout).trimEnd().split("\n");
  const folders = words.filter((_, index) => words[index - 1]?.endsWith("/train_launched.ts"));
  assert.deepEqual(folders.toSorted(), hashesIn(out).map((hash) => `${out}/runs/${hash}`).sort());
  assert.equal(words[0], Deno.execPath());
  for (const run of folders) Deno.statSync(`${run}/config.json`);
});

const options: KubernetesOptions = {
  image: "example/codebook:1",
  claim: "studies",
  folder: "runs/sizes",
  limits: "cpu=4,memory=8Gi,nvidia.com/gpu=1",
  jobs: 3,
};

async function manifestOf(changed: Partial<KubernetesOptions>, name = "sizes") {
  const out = `${folder}/kubernetes`;
  await launchStudy({ ...sizes, name }, new KubernetesLauncher({ ...options, ...changed }), {
    out,
  });
  return JSON.parse(Deno.readTextFileSync(`${out}/kubernetes.json`));
}

Deno.test("the manifest is a valid Job by Kubernetes' schema, without unknown fields", async () => {
  const manifest = await manifestOf({});
  new Job(manifest).validate();
  let fields = 0;
  const breakEach = (parent: Record<string, unknown>) => {
    for (const [name, value] of Object.entries(parent)) {
      if (!["apiVersion", "kind"].includes(name)) { // The class has its own.
        parent[name] = Array.isArray(value) ? "wrong" : [["wrong"]];
        assert.throws(() => new Job(manifest).validate(), `${name} must be known`);
        parent[name] = value;
        fields++;
      }
      if (typeof value === "object") breakEach(value as Record<string, unknown>);
    }
  };
  breakEach(manifest);
  assert.ok(fields > 40, `got ${fields}`);
});

Deno.test("every index of the Job is one run, at its path in the volume claim", async () => {
  const { spec } = await manifestOf({});
  const { command } = spec.template.spec.containers[0];
  assert.deepEqual([spec.completions, spec.parallelism], [4, 3]);
  const [shell, flag, script, ...words] = command;
  const runs = new Set<string>();
  for (let index = 0; index < spec.completions; index++) {
    const { stdout } = await new Deno.Command(shell, {
      args: [flag, script.replace("exec", "echo"), ...words],
      env: { JOB_COMPLETION_INDEX: `${index}` },
    }).output();
    const args = new TextDecoder().decode(stdout).trimEnd().split(" ");
    assert.deepEqual(args.slice(0, 3), ["deno", "run", "--no-prompt"]);
    assert.ok(
      !args.includes("-A") && args.includes("--allow-write"),
      "the pod is what confines it",
    );
    const [task, run] = args.slice(-2);
    assert.equal(task, "/codebook/tasks/train_launched.ts");
    runs.add(run);
  }
  const places = hashesIn(`${folder}/kubernetes`).map((hash) => `/claim/runs/sizes/runs/${hash}`);
  assert.deepEqual([...runs].sort(), places.sort());
});

Deno.test("the Job's name depends only on the folder, and is valid in Kubernetes", async () => {
  const nameOf = async (changed: Partial<KubernetesOptions>, name?: string) =>
    (await manifestOf(changed, name)).metadata.name as string;
  const name = await nameOf({});
  assert.match(name, /^sizes-[0-9a-f]{8}$/);
  assert.equal(await nameOf({ jobs: 1, folder: "./runs/sizes/" }), name);
  assert.notEqual(await nameOf({ folder: "other" }), name);
  const longest = `${await nameOf({}, "a".repeat(80))}-99999`;
  assert.match(longest, /^[a-z0-9]([a-z0-9-]*[a-z0-9])?$/);
  assert.ok(longest.length <= 63, "with an index, it names a pod");
});

Deno.test("the Job's command keeps every path literally, despite Kubernetes' variable expansion", async () => {
  const changed = { folder: "runs/$(JOB_COMPLETION_INDEX) $$HOME $", project: "/$(PATH)" };
  const { spec } = await manifestOf(changed);
  /** What Kubernetes makes of a word: $$ is $, and $(NAME) the variable. */
  const expand = (word: string) =>
    word.replaceAll(
      /\$(?:\$|\((\w+)\))/g,
      (_, name) => name === undefined ? "$" : `VALUE of ${name}`,
    );
  const { command } = spec.template.spec.containers[0];
  const [, , script, train, ...runs] = command.map(expand);
  assert.equal(script, command[2]);
  assert.equal(train, "/$(PATH)/tasks/train_launched.ts");
  const places = hashesIn(`${folder}/kubernetes`)
    .map((hash) => `/claim/runs/$(JOB_COMPLETION_INDEX) $$HOME $/runs/${hash}`);
  assert.deepEqual(runs.toSorted(), places.sort());
});

Deno.test("each launcher rejects a folder name with a line break, and writes nothing", async () => {
  const before = [...Deno.readDirSync(folder)].map(({ name }) => name).sort();
  const launchers = [
    new PrintLauncher(),
    new SlurmLauncher(),
    new KubernetesLauncher(options),
    new LocalLauncher(),
  ];
  for (const name of ["a\n#SBATCH --wrap=id", "a\rb", "a\0b", "a\x1b[2Jb", "a\u2028b"]) {
    for (const launcher of launchers) {
      await assert.rejects(launchStudy(sizes, launcher, { out: `${folder}/${name}` }), {
        name: "RangeError",
        message: /^Cannot plan the study sizes: its folder's name must have no control characters/,
      });
    }
  }
  const here = Deno.cwd(), inside = `${folder}/line\nend`;
  await Deno.mkdir(inside);
  Deno.chdir(inside);
  try {
    await assert.rejects(
      launchStudy(sizes, launchers[0], { out: "runs" }),
      /no control characters/,
    );
  } finally {
    Deno.chdir(here);
    await Deno.remove(inside);
  }
  assert.deepEqual([...Deno.readDirSync(folder)].map(({ name }) => name).sort(), before);
});

/** Puts commands that stand for Slurm's on PATH; gives what becomes of them. */
async function withSlurm(
  commands: Readonly<Record<string, string>>,
  test: () => Promise<void>,
): Promise<void> {
  const bin = await Deno.makeTempDir({ dir: folder });
  const path = Deno.env.get("PATH")!;
  for (const [name, script] of Object.entries(commands)) {
    await Deno.writeTextFile(
      `${bin}/${name}`,
      `#!/bin/sh\nPATH='${path}'; cd '${bin}'\n${script}\n`,
      {
        mode: 0o755,
      },
    );
  }
  Deno.env.set("PATH", bin); // No other Slurm is meant.
  try {
    await test();
  } finally {
    Deno.env.set("PATH", path);
  }
}

/** Numbers jobs from 7 on, and keeps how it was called. */
const SBATCH = `echo "$@" >> calls; echo "$(($(wc -l < calls) + 6));cluster"`;

Deno.test("the script is a job array with a task per run, and sbatch's own options last", async () => {
  const out = `${folder}/slurm 100%`;
  const launcher = new SlurmLauncher({ jobs: 2, options: "--partition gpu --time 4:00:00" });
  await withSlurm({ sbatch: SBATCH }, async () => {
    const { next } = await launchStudy(sizes, launcher, { out });
    assert.match(next[0], /submitted job 7 with 4 of the runs/);
    assert.match(next.join("\n"), /deno task ablate collect /);
  });
  const script = Deno.readTextFileSync(`${out}/slurm/array-1.sh`);
  const given = script.split("\n").filter((line) => line.startsWith("#SBATCH "));
  assert.deepEqual(given, [
    "#SBATCH --job-name=sizes",
    "#SBATCH --array=0-3%2",
    `#SBATCH --chdir="${Deno.cwd()}"`,
    `#SBATCH --output="${folder}/slurm 100%%/slurm/%A_%a.log"`,
    "#SBATCH --open-mode=append",
    "#SBATCH --requeue",
    "#SBATCH --signal=B:TERM@120",
    "#SBATCH --partition gpu --time 4:00:00",
  ]);
  const called = async (index: number) => {
    const { stdout } = await new Deno.Command("bash", {
      args: ["-c", script.replace("exec ", "printf '%s\\n' ")],
      env: { SLURM_ARRAY_TASK_ID: `${index}` },
    }).output();
    return new TextDecoder().decode(stdout).trimEnd().split("\n");
  };
  const calls = await Promise.all([0, 1, 2, 3].map(called));
  assert.deepEqual(
    calls.map((words) => words.at(-1)!).sort(),
    hashesIn(out).map((hash) => `${out}/runs/${hash}`).sort(),
  );
  const [, ...words] = calls[0];
  assert.match(words.at(-2)!, /\/tasks\/train_launched\.ts$/);
  const lock = fileURLToPath(import.meta.resolve("../../deno.lock"));
  assert.deepEqual(words.slice(0, 4), ["run", `--lock=${lock}`, "--frozen", "--no-prompt"]);
  assert.ok(!words.includes("-A"));
  assert.ok(words.some((word) => word.startsWith(`--allow-write=${out}`)), words.join(" "));
});

Deno.test("settings that a run's configuration must not contain are passed in every launcher's command, quoted for a shell", async () => {
  const blas = "/opt/it's here; $HOME/libmkl_rt.so";
  const place = { out: `${folder}/said`, settings: { cpu: { blas } } };
  const { next: [printed] } = await launchStudy(sizes, new PrintLauncher(), place);
  await launchStudy(sizes, new KubernetesLauncher(options), place);
  await withSlurm({ sbatch: SBATCH }, async () => {
    await launchStudy(sizes, new SlurmLauncher(), place);
  });
  const script = Deno.readTextFileSync(`${place.out}/slurm/array-1.sh`);
  const { spec } = JSON.parse(Deno.readTextFileSync(`${place.out}/kubernetes.json`));
  const command: string = spec.template.spec.containers[0].command[2];
  const pod = command.replaceAll("$$", "$"); // as Kubernetes does
  const calls = [printed, script, pod].map((text) =>
    text.trimEnd().split("\n").at(-1)!.split("exec ").at(-1)!
  );
  for (const call of calls) {
    const { stdout } = await new Deno.Command("bash", { args: ["-c", `printf '%s\\n' ${call}`] })
      .output();
    const words = new TextDecoder().decode(stdout).trimEnd().split("\n");
    assert.deepEqual([words[1], words.at(-1)], ["run", `--cpu.blas=${blas}`], call);
  }
});

Deno.test("a folder name cannot add an option to sbatch, and printed commands are quoted", async () => {
  const out = `${folder}/a" --wrap="id`;
  await withSlurm({ sbatch: SBATCH }, async () => {
    const { next } = await launchStudy(sizes, new SlurmLauncher(), { out });
    assert.ok(
      next.at(-1)!.startsWith(`\`deno task ablate collect '${out}'\` collects`),
      next.at(-1),
    );
    const backslash = launchStudy(sizes, new SlurmLauncher(), { out: `${folder}/a\\b` });
    await assert.rejects(backslash, /the folder's path must have no backslash, .* got .*a\\b/);
  });
  const script = Deno.readTextFileSync(`${out}/slurm/array-1.sh`);
  const output = `${folder}/a\\" --wrap=\\"id/slurm/%A_%a.log`;
  assert.ok(script.includes(`\n#SBATCH --output="${output}"\n`), script);
});

Deno.test("runs of a queued job are not submitted again", async () => {
  const out = `${folder}/again`;
  const launch = async () => (await launchStudy(sizes, new SlurmLauncher(), { out })).next[0];
  const script = () => Deno.readTextFileSync(`${out}/slurm/array-1.sh`);
  await withSlurm({ sbatch: SBATCH, squeue: "echo 7_1; echo 7_3; echo 9_0" }, async () => {
    assert.match(await launch(), /submitted job 7 with 4 of the runs/);
    const [first, second, third, fourth] = script().match(/\/runs\/\w+/g)!;
    assert.match(await launch(), /submitted job 8 with 2 of the runs/);
    assert.deepEqual(script().match(/\/runs\/\w+/g), [first, third]);
    assert.ok(second !== fourth);
  });
  await withSlurm({ squeue: "echo 7_1; echo 7_3; echo 8_0; echo 8_1" }, async () => {
    assert.match(await launch(), /^4 of the runs already belong to jobs/);
  });
  await withSlurm({ squeue: "echo no controller >&2; exit 1" }, async () => {
    await assert.rejects(launch, /Cannot tell which runs .*squeue must succeed, got no controller/);
  });
});

Deno.test("more runs than the array limit become several arrays, one after another", async () => {
  const out = `${folder}/many`;
  await withSlurm({ sbatch: `${SBATCH}; cp calls '${out}'` }, async () => {
    const { next } = await launchStudy(sizes, new SlurmLauncher({ arraySize: 3 }), { out });
    assert.match(next[0], /submitted job 7, 8 with 4 of the runs/);
  });
  const [first, second] = Deno.readTextFileSync(`${out}/calls`).split("\n");
  assert.equal(first, `--parsable ${out}/slurm/array-1.sh`);
  assert.equal(second, `--parsable --dependency=afterany:7 ${out}/slurm/array-2.sh`);
  assert.match(Deno.readTextFileSync(`${out}/slurm/array-1.sh`), /--array=0-2\n/);
  assert.match(Deno.readTextFileSync(`${out}/slurm/array-2.sh`), /--array=0-0\n/);
});

Deno.test("if Slurm is missing or rejects a job, the error says so", async () => {
  const launch = () => launchStudy(sizes, new SlurmLauncher(), { out: `${folder}/none` });
  await withSlurm({}, async () => {
    await assert.rejects(launch, /Cannot submit .*array-1\.sh: sbatch must be on PATH, got none/);
  });
  await withSlurm({ sbatch: "echo invalid partition specified: gpu >&2; exit 1" }, async () => {
    await assert.rejects(launch, /sbatch must succeed, got invalid partition specified: gpu/);
  });
});

Deno.test("processes that share a run are tasks of its job, started by mpirun or another command", async () => {
  const starts = [undefined, "srun  --mpi=pmix"] as const;
  await withSlurm({ sbatch: SBATCH }, async () => {
    for (const [index, start] of starts.entries()) {
      const out = `${folder}/shared ${index}`;
      await launchStudy(sizes, new SlurmLauncher({ tasks: 4, start }), { out });
      const script = Deno.readTextFileSync(`${out}/slurm/array-1.sh`);
      assert.ok(script.includes("\n#SBATCH --ntasks=4\n"));
      const starter = ["mpirun --bind-to none", "srun --mpi=pmix"][index];
      assert.ok(script.endsWith(` "\${runs[SLURM_ARRAY_TASK_ID]}" -- ${starter} -n 4\n`), script);
    }
    const out = `${folder}/shared by 3`;
    await assert.rejects(
      launchStudy(sizes, new SlurmLauncher({ tasks: 3 }), { out }),
      /^RangeError: Cannot train over 3 processes: training\.batchSize must be a multiple of their number, got/,
    );
    assert.throws(
      () => Deno.statSync(`${out}/slurm`),
      Deno.errors.NotFound,
      "nothing is submitted",
    );
  });
});

Deno.test("invalid launcher options are rejected on construction", () => {
  const refusals: readonly (readonly [() => unknown, RegExp])[] = [
    [() => new SlurmLauncher({ jobs: 0 }), /jobs must be an integer of at least 1, got 0/],
    [() => new SlurmLauncher({ arraySize: 0.5 }), /arraySize must be .* at least 1, got 0\.5/],
    [
      () => new SlurmLauncher({ options: "gpu" }),
      /must be options of sbatch on one line, got "gpu"/,
    ],
    [() => new SlurmLauncher({ options: "-p a\nrm b" }), /must be options of sbatch on one line/],
    [() => new SlurmLauncher({ options: "-p a\r--wrap id" }), /got "-p a\\r--wrap id"/],
    [() => new SlurmLauncher({ tasks: 0 }), /tasks must be an integer of at least 1, got 0$/],
    [() => new SlurmLauncher({ start: "srun" }), /start must be given with tasks .*, got srun$/],
    [
      () => new SlurmLauncher({ tasks: 2, start: " " }),
      /start must be a command, in a line, got " "/,
    ],
    [() => new SlurmLauncher({ tasks: 2, options: "-n4" }), /-n must be left to the launcher, got/],
    [() => new SlurmLauncher({ tasks: 2, options: "-p a --ntasks 4" }), /--ntasks must be left/],
    [() => new SlurmLauncher({ options: "-p a --array=1" }), /--array must be left to/],
    [() => new KubernetesLauncher({ ...options, image: "a b" }), /the image must .*got "a b"/],
    ...(["image", "folder", "project", "limits"] as const).map((name) =>
      [
        () => new KubernetesLauncher({ ...options, [name]: "a=\x1bb" }),
        new RegExp(`${name} must have no control characters, got "a=\\\\u001bb"`),
      ] as const
    ),
    [() => new KubernetesLauncher({ ...options, claim: "A" }), /the claim must be .*got A$/],
    [() => new KubernetesLauncher({ ...options, folder: "/a" }), /within the claim, got \/a$/],
    [() => new KubernetesLauncher({ ...options, folder: "a/../../b" }), /within the claim/],
    [() => new KubernetesLauncher({ ...options, limits: "cpu" }), /like cpu=4,memory=8Gi, got cpu/],
  ];
  for (const [make, message] of refusals) {
    assert.throws(make, (error: Error) => {
      assert.match(error.message, message);
      return error instanceof RangeError;
    });
  }
});
