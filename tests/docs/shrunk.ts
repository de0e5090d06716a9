/** Documented commands, as they run here: with tiny networks, a step or two, a few images. */

/** A first stage of that size. */
const VQVAE = "--model.hidden 8 --model.residualHidden 4";
const TRANSFORMER = "--model.width 16 --model.heads 1 --model.layers 1 --objective.cache none";
const UNET = "--model.width 16 --model.groups 4 --objective.previewSteps 1";
const LATENTS = `${UNET} --objective.cache none --objective.components 4`;

/** A folder of a few pictures in place of the emoji, whose decoding takes seconds. */
const PICTURES = "--data.name image-folder --data.path pictures --data.size 28";

/** The flags that shrink the network, by preset; a VQ-VAE's if there is none. */
const NETWORKS: Readonly<Record<string, string>> = {
  emoji: `${VQVAE} ${PICTURES}`,
  "vqgan-f16":
    `${PICTURES} --model.ch 32 --model.chMult 1,1 --model.numResBlocks 1 --model.attnResolutions 128`,
  "digits-scales": "--model.ch 8 --model.groups 4 --model.chMult 1,1,1",
  "vqgan-small": `${PICTURES} --model.ch 8 --model.groups 4 --model.chMult 1,1,1`,
  gpt: TRANSFORMER,
  maskgit: TRANSFORMER,
  imagebart: `${TRANSFORMER} --model.encoderLayers 1`,
  "rq-transformer": `${TRANSFORMER} --model.depthLayers 1`,
  var: TRANSFORMER,
  ldm: LATENTS,
  "ldm-class": LATENTS,
  "ldm-emoji": `${LATENTS} ${PICTURES}`,
  ddpm: `${UNET} ${PICTURES}`,
};

/** The flags that are appended to a task. A flag that stands twice has its last value. */
const FLAGS: Readonly<Record<string, (command: string) => string>> = {
  train(command) {
    const preset = command.match(/--preset ([\w-]+)/)?.[1];
    if (command.includes("--resume")) return "--training.maxSteps 2";
    const network = `${NETWORKS[preset ?? ""] ?? VQVAE} --cpu.threads 1`;
    return `${network} --training.batchSize 16 --training.maxSteps 1`;
  },
  evaluate(command) {
    if (command.includes("--images")) return "";
    // The reports of the commands without --metrics are enough: to place the codes in one takes seconds.
    const report = command.includes("--metrics") ? " --report false" : "";
    return `--limit 8 --count 32${report}`;
  },
  sample: (command) =>
    command.includes("runs/faces")
      ? "--count 4 --topK 4"
      : command.includes("runs/published")
      ? "--count 4 --steps 2 --class 2 --guidance 1"
      : `--count 4${command.includes("ldm") ? " --steps 2" : ""}`,
  doctor: (command) => command.includes("vqgan") ? "--model.ch 32 --batch 1" : "",
  ablate: (command) =>
    /^deno task ablate (decay|collect)(?!.*slurm)/.test(command) ? "" : "--dry-run",
  bench: () => "--runs 1 --batch 2",
  import(command) {
    if (command.includes("vqgan")) return "--data.name shapes --data.size 16";
    if (command.includes("cin.ckpt")) return "--data.size 8 --classes 12";
    return command.includes("ffhq.ckpt") ? "--data.size 8 --model.heads 2" : "";
  },
  fuzz: (command) => command.includes("--minutes") ? "--minutes 0.01" : "--inputs 2",
};

/** The same command with less to compute. */
export function shrink(command: string): string {
  if (command.includes("shift.ts")) return `${command} --steps 2`;
  const [, task] = command.match(/\b(?:deno task |tasks\/)(\w+)/) ?? [];
  if (task === undefined || command.includes("--help")) return command;
  const [call, ...rest] = command.split(" | ");
  return [`${call} ${FLAGS[task]?.(command) ?? ""}`.trim(), ...rest].join(" | ");
}
