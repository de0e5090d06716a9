import assert from "node:assert/strict";
import type { StudyRun } from "../../studies/records.ts";
import type { Study } from "../../studies/study.ts";
import { showCsv, showJsonLines, showMarkdown } from "../../studies/tables.ts";

const study: Study = {
  name: "sizes",
  axes: [{ path: "quantizer.codebookSize", values: [8, 16] }],
  measure: ["usage", "secondsPerStep"],
};

function record(size: number, seed: number, changed: Partial<StudyRun>): StudyRun {
  return {
    point: { "quantizer.codebookSize": size },
    ...{ seed, hash: `${size}-${seed}`, folder: "", state: "waiting", failure: null },
    ...{ steps: null, device: null, protocol: null, measured: null },
    ...changed,
  };
}

function finished(size: number, seed: number, usage: number, protocol = "aa"): StudyRun {
  const measured = {
    usage,
    perplexity: 2,
    mse: 0.25,
    psnr: 12,
    sharpness: null,
    secondsPerStep: null,
  };
  const device = 'cpu, "4" threads';
  return record(size, seed, { state: "finished", steps: 3, device, protocol, measured });
}

const records = [
  finished(8, 1, 0.2),
  finished(8, 2, 0.5),
  finished(8, 3, 0.2),
  finished(16, 1, 0.125),
  record(16, 2, { state: "failed", failure: "it broke" }),
  record(16, 3, { state: "started" }),
];

Deno.test("the table has the mean and sample deviation over the finished seeds, and names the others", () => {
  const lines = showMarkdown(study, records).split("\n");
  assert.deepEqual(lines.slice(0, 7), [
    "# sizes",
    "",
    "| quantizer.codebookSize | usage, %    | seconds per step | seeds |",
    "| ---------------------- | ----------- | ---------------- | ----- |",
    "| 8                      | 30.0 ± 17.3 | –                | 3     |",
    "| 16                     | 12.5        | –                | 1     |",
    "",
  ]);
  const text = lines.join("\n");
  assert.match(text, /^Protocol aa, on cpu, "4" threads\.$/m);
  assert.match(text, /^Failed: quantizer\.codebookSize 16, seed 2 \(16-2\): it broke$/m);
  assert.match(text, /^Left to run: 1 of 6\.$/m);
});

Deno.test("the best value is bold if its differences over the seeds are clear, and the differences follow", () => {
  const clear = [
    finished(8, 1, 0.2),
    finished(8, 2, 0.3),
    finished(16, 1, 0.5),
    finished(16, 2, 0.6),
  ];
  const text = showMarkdown(study, clear);
  assert.match(text, /\| 16 +\| \*\*55\.0 ± 7\.1\*\* +\| – +\| 2 +\|/);
  assert.match(text, /usage, % +\|\n.*\n\| 8 +\| −30\.0 ± 0\.0 \* +\|\n\| 16 +\| best +\|$/m);
  const unclear = showMarkdown(study, [...clear, finished(8, 3, 0.9), finished(16, 3, 0.2)]);
  assert.doesNotMatch(unclear, /\*\*|\d \*/);
});

Deno.test("numbers of different protocols are in different tables", () => {
  const text = showMarkdown(study, [...records, finished(8, 4, 1, "bb")]);
  assert.equal(text.match(/^\| 8 /gm)?.length, 2);
  assert.match(text, /\| 8 +\| 100\.0 +\| – +\| 1 +\|\n\nProtocol bb/);
});

Deno.test("the machine-readable files contain every run, with quotes around values with commas", () => {
  assert.deepEqual(showJsonLines(records).trimEnd().split("\n").map((l) => JSON.parse(l)), records);
  const lines = showCsv(records).split("\r\n");
  assert.equal(
    lines[0],
    "quantizer.codebookSize,seed,state,usage,perplexity,mse,psnr,sharpness,secondsPerStep,steps,device,protocol,run",
  );
  assert.equal(lines[1], '8,1,finished,0.2,2,0.25,12,,,3,"cpu, ""4"" threads",aa,8-1');
  assert.equal(lines[6], "16,3,started,,,,,,,,,,16-3");
  assert.equal(lines.length, 8);
});

Deno.test("a Markdown table keeps its cells and lines, whatever a value or a failure message contains", () => {
  const hostile = "a|b\n| c \\| <img src=q>\r\n\x1b[2J\u2028# d";
  const point = { [`method|${hostile}`]: hostile };
  const text = showMarkdown({ ...study, about: hostile }, [
    { ...finished(8, 1, 0.5), point, protocol: hostile, device: hostile },
    { ...record(8, 2, { state: "failed", failure: hostile }), point },
    { ...record(8, 3, { state: "damaged", failure: hostile }), point },
  ]);
  const shown = "a\\|b \\| c \\\\\\| \\<img src=q> �[2J # d";
  const lines = text.split("\n");
  assert.equal(lines[2], shown);
  assert.ok(lines[4].startsWith(`| method\\|${shown} | usage, % |`), lines[4]);
  assert.ok(lines[6].startsWith(`| ${shown} `), lines[6]);
  assert.equal(lines[8], `Protocol ${shown}, on ${shown}.`);
  const named = "a\\|b�\\| c \\\\\\| \\<img src=q>���[2J�# d";
  assert.ok(lines.includes(`Failed: method\\|${named} ${named}, seed 2 (8-2): ${shown}`), text);
  assert.ok(lines.includes(`Damaged: method\\|${named} ${named}, seed 3 (8-3): ${shown}`), text);
  assert.equal(lines.filter((line) => line.startsWith("|")).length, 3, "a head, a rule, a row");
  assert.doesNotMatch(text, /(?<!\\)<|[^\n\P{Cc}]/u);
});

Deno.test("no CSV cell is a formula, and numbers stay numbers", () => {
  const formulas = ["=1+1", "+1", "-1+1", "@sum(a)", "\t=1", "\r=1", "＝1", "-", "-1e", '="a,b"'];
  const numbers = ["-5", "-0.5", "-1e-7", "12", "1.5e+30"];
  const cellOf = (value: string | number) => {
    const [, line] = showCsv([{ ...record(8, 1, {}), point: { axis: value } }])
      .match(/^axis,[^\n]*\n((?:"(?:[^"]|"")*"|[^,]*)),1,waiting/)!;
    return line.startsWith('"') ? line.slice(1, -1).replaceAll('""', '"') : line;
  };
  for (const formula of formulas) assert.equal(cellOf(formula), `'${formula}`);
  for (const number of numbers) {
    assert.equal(cellOf(number), number);
    assert.equal(cellOf(Number(number)), String(Number(number)));
  }
  const [head] = showCsv([{ ...record(8, 1, {}), point: { "=axis": 1 } }]).split(",");
  assert.equal(head, "'=axis");
});

Deno.test("an infinite ratio stays infinite in every file, and affects no other number", () => {
  const withRatio = (size: number, seed: number, psnr: number): StudyRun => {
    const run = finished(size, seed, 0.5);
    return { ...run, measured: { ...run.measured!, psnr } };
  };
  const runs = [
    ...[withRatio(8, 1, Infinity), withRatio(8, 2, 20)],
    ...[withRatio(16, 1, 10), withRatio(16, 2, 12)],
  ];
  const ratios = showJsonLines(runs).trimEnd().split("\n")
    .map((line) => JSON.parse(line).measured.psnr);
  assert.deepEqual(ratios, ["Infinity", 20, 10, 12]);
  assert.match(showCsv(runs), /,Infinity,/);
  const text = showMarkdown({ ...study, measure: ["psnr"] }, runs);
  assert.match(text, /^\| 8 +\| Infinity +\| 2 +\|$/m);
  assert.match(text, /^\| 16 +\| 11\.00 ± 1\.41 +\| 2 +\|$/m);
  assert.doesNotMatch(text, /NaN/);
});
