import assert from "node:assert/strict";
import { QUANTIZER_TYPES } from "../../quantizers/registry.ts";
import { configSettings } from "../../training/config.ts";
import { resolveConfig, resolveUnchecked } from "../../training/resolve.ts";
import { UsageError } from "../../tasks/fail.ts";
import { type Command, readCommandLine } from "../../tasks/flags.ts";
import { showHelp } from "../../tasks/help.ts";

const COMMAND: Command = {
  call: "deno task train",
  summary: "Trains.",
  operands: [],
  options: [{
    path: "resume",
    description: "goes on",
    allowed: "true or false",
    kind: "boolean",
    default: false,
  }],
  settings: configSettings(),
};

const refusal = (...args: string[]): string => {
  try {
    readCommandLine(args, COMMAND);
  } catch (error) {
    assert.ok(error instanceof UsageError);
    return error.message;
  }
  return "not refused";
};

Deno.test("flags are configuration paths, and their values have the setting's type", () => {
  const args =
    "--quantizer.type vanilla --training.epochs=2 --optimizer.clipNorm none --resume --seed 1e3";
  const { options, settings } = readCommandLine(args.split(" "), COMMAND);
  assert.deepEqual(options, { resume: true });
  assert.deepEqual(settings, {
    quantizer: { type: "vanilla" },
    training: { epochs: 2 },
    optimizer: { clipNorm: null },
    seed: 1000,
  });
});

Deno.test("a list is separated by commas, and items that are not numbers are left for the schema to reject", () => {
  const { settings } = readCommandLine(["--quantizer.levels", "8,5,x"], COMMAND);
  assert.deepEqual(settings, { quantizer: { levels: [8, 5, "x"] } });
});

Deno.test("the settings of inner quantisers are flags", () => {
  const args = "--quantizer.type residual --quantizer.inner.type ema --quantizer.inner.decay .9";
  const { settings } = readCommandLine(args.split(" "), COMMAND);
  const { quantizer } = resolveConfig({ flags: settings });
  const inner = quantizer!.inner as Record<string, unknown>;
  assert.deepEqual([quantizer!.type, inner.type, inner.decay], ["residual", "ema", 0.9]);
});

Deno.test("a boolean flag stands alone, or before true or false", () => {
  const read = (text: string) => readCommandLine(text.split(" "), COMMAND).settings;
  assert.deepEqual(read("--quantizer.online --seed 1"), { quantizer: { online: true }, seed: 1 });
  assert.deepEqual(read("--quantizer.online false --seed 1"), {
    quantizer: { online: false },
    seed: 1,
  });
});

Deno.test("a value can contain another program's flags, with a space in it or after =", () => {
  const read = (...args: string[]) => readCommandLine(args, COMMAND).settings;
  assert.deepEqual(read("--out", "--a b"), { out: "--a b" });
  assert.deepEqual(read("--out=--a"), { out: "--a" });
  assert.throws(() => read("--out", "--a"), /--out must be followed by .* got "--a"/);
});

Deno.test("every setting is a flag, and any configuration can be given in flags", () => {
  for (const type of QUANTIZER_TYPES) {
    const config = resolveUnchecked({
      flags: {
        quantizer: { type },
        optimizer: { clipNorm: 1, schedule: "cosine" },
        cpu: { threads: 2 },
        seed: 9,
      },
    });
    const args = COMMAND.settings.flatMap(({ path }) => {
      const value = path.split(".").reduce(
        (section: unknown, name) => (section as Record<string, unknown> | undefined)?.[name],
        config,
      );
      if (value === undefined) return []; // a setting of other quantisers
      return [`--${path}`, value === null ? "none" : String(value)];
    });
    const { settings } = readCommandLine(args, COMMAND);
    assert.deepEqual(resolveConfig({ flags: settings }), config);
  }
});

Deno.test("the help lists every flag with its meaning, allowed values and default", () => {
  const help = showHelp(COMMAND, "all");
  for (const { path, description, allowed, ...setting } of configSettings()) {
    const usual = setting.default === null ? "none" : String(setting.default);
    assert.ok(
      help.includes(`--${path} <${allowed}>, default ${usual}\n      ${description}`),
      path,
    );
  }
});

Deno.test("the first help lists the common settings, and topics for the others", () => {
  const topicOf = (...args: string[]) => readCommandLine(args, COMMAND).help;
  assert.deepEqual(
    [topicOf(), topicOf("--help"), topicOf("--seed", "1", "-h"), topicOf("--help", "quantizer")],
    [undefined, "usual", "usual", "quantizer"],
  );
  const notes = { presets: ["Preset digits"] };
  const usual = showHelp(COMMAND, "usual", notes), flags = /^ {2}--\S+\.?\S* </gm;
  assert.ok(usual.split("\n").length < 60, usual);
  assert.equal(usual.match(flags)!.length, 12, "ten settings, --resume and --help");
  assert.match(usual, /quantizer +\d+ settings\n/);
  assert.doesNotMatch(usual, /Preset digits/);
  const quantizer = showHelp(COMMAND, "quantizer", notes);
  const own = configSettings().filter(({ path }) => path.startsWith("quantizer."));
  assert.equal(quantizer.match(flags)!.length, own.length);
  assert.equal(showHelp(COMMAND, "presets", notes), "Preset digits");
  assert.throws(
    () => showHelp(COMMAND, "quantiser", notes),
    /^UsageError: Cannot show help: .* got quantiser, did you mean quantizer\?$/,
  );
});

Deno.test("a repeated operand takes all remaining arguments, at least one", () => {
  const command = { ...COMMAND, operands: [{ name: "RUN", description: "", repeats: true }] };
  assert.deepEqual(readCommandLine(["a", "b", "c"], command).words, ["a", "b", "c"]);
  assert.throws(() => readCommandLine([], command), /must be RUN…, got none$/);
  assert.match(showHelp(command, "usual"), /^deno task train RUN… \[flags\]\n/);
});

Deno.test("an invalid command line is rejected with advice", () => {
  assert.match(refusal("--lerningRate", "1"), /no flag --lerningRate, did you mean --optimizer\.l/);
  assert.match(refusal("--modle.hidden", "1"), /did you mean --model\.hidden\?$/);
  assert.match(refusal("--hlp"), /did you mean --help\?$/);
  assert.match(refusal("--xyzzy"), /`deno task train --help` lists all flags$/);
  assert.match(refusal("-s", "1"), /no flag -s/);
  assert.match(
    refusal("--seed"),
    /--seed must be followed by an integer of at least 0, got nothing$/,
  );
  assert.match(refusal("--seed", "--resume"), /got "--resume"$/);
  assert.match(refusal("runs/digits"), /the operands of `deno task train` must be none, got runs/);
  assert.match(refusal("--__proto__.seed", "1"), /no flag --__proto__\.seed/);
});

Deno.test("text that is not a number is left for the schema to reject", () => {
  const { settings } = readCommandLine(["--seed", "abc", "--training.epochs", ""], COMMAND);
  assert.deepEqual(settings, { seed: "abc", training: { epochs: "" } });
});
