/** The report that `evaluate` leaves, in a browser. */
import assert from "node:assert/strict";
import { decode } from "fast-png";
import { browse, findBrowser } from "../browser.ts";
import { folderForTests, lastLine, runTask, TINY } from "./child.ts";

const folder = folderForTests();
const run = `${folder}/run`;
const browser = await findBrowser();

/** What the page looks like once it is laid out, told in its title. */
const PROBE = `<script>
const errors = [];
addEventListener("error", (event) => errors.push(String(event.message)), true);
addEventListener("load", () => {
  const boxes = (selector) => [...document.querySelectorAll(selector)].map((one) => one.getBoundingClientRect());
  document.title = JSON.stringify({
    errors,
    pictures: [...document.images].filter((image) => image.naturalWidth === 28 && image.width > 20).length,
    charts: boxes("svg").filter(({ width, height }) => width > 300 && height > 80).length,
    lines: boxes("polyline").filter(({ width }) => width > 10).length,
    codes: document.querySelectorAll(".used, .dead").length,
    dots: document.querySelector(".features").getAttribute("d").split("M").length - 1,
    overflows: document.documentElement.scrollWidth > innerWidth,
    asked: performance.getEntriesByType("resource").filter(({ name }) => !name.startsWith("data:")).length,
  });
});
</script>`;

Deno.test("a run's report is one page with its numbers, curves, pictures and codes", async () => {
  const train = [...TINY, "--training.maxSteps", "12", "--training.logEverySteps", "3"];
  const trained = await runTask("train", [...train, "--device", "cpu", "--out", run]);
  assert.equal(trained.code, 0, trained.stderr);
  const { code, stdout, stderr } = await runTask("evaluate", [
    ...[run, "--device", "cpu", "--json", "--limit", "100"],
    ...["--metrics", "ssim,psnr,digit-fid", "--rounding", "8-bit"],
  ]);
  assert.equal(code, 0, stderr);
  const page = await Deno.readTextFile(`${run}/report.html`);
  const result = lastLine(stdout) as unknown as {
    measurements: readonly { name: string; value: number; decimals: number; protocol: string }[];
    protocol: string;
    images: number;
    codebook: { dead: readonly number[]; histogram: readonly number[] };
    protocols: Readonly<Record<string, { images: number }>>;
  };
  assert.deepEqual(result, JSON.parse(await Deno.readTextFile(`${run}/evaluation.json`)));
  assert.equal(result.images, 100);
  assert.deepEqual(
    result.measurements.map(({ name }) => name),
    [
      "SSIM",
      "PSNR (dB), clipped, 8-bit",
      "PSNR of the mean mse (dB), clipped, 8-bit",
      "FID (digit features)",
      "KID (digit features)",
    ],
  );
  for (const { name, value, decimals, protocol } of result.measurements) {
    assert.ok(
      page.includes(`<td>${name}</td><td class="value">${value.toFixed(decimals)}</td>`),
      name,
    );
    assert.ok(page.includes(`<code>${protocol}</code>`), name);
    assert.equal(result.protocols[protocol].images, 100);
  }
  assert.equal(new Set(Object.keys(result.protocols)).size, 6);
  const names = [...page.matchAll(/<tr><td>([^<]*)<\/td><td class="value">/g)].map(([, name]) =>
    name
  );
  assert.equal(new Set(names).size, names.length, `${names}`);
  assert.equal(result.codebook.histogram.reduce((sum, count) => sum + count), 100 * 49);
  assert.doesNotMatch(page, /(src|href)="(?!data:)|url\(|<script/, "it loads nothing");
  for (const name of ["trained on", "measured on"]) {
    assert.match(page, new RegExp(`<dt>${name}</dt><dd>cpu: `));
  }
  assert.match(page, /<dt>quantizer\.codebookSize<\/dt><dd>8<\/dd>/);
});

if (browser !== undefined) {
  Deno.test("in a browser the report shows all its parts, without errors or requests", async () => {
    const page = await Deno.readTextFile(`${run}/report.html`);
    const probed = `${folder}/probed.html`;
    await Deno.writeTextFile(probed, page.replace("<head>", `<head>${PROBE}`));
    const { stdout, stderr } = await browse(browser, `file://${probed}`, [
      "--dump-dom",
      "--window-size=1280,2400",
    ]);
    assert.doesNotMatch(stderr, /CONSOLE/);
    const title = stdout.match(/<title>(.*?)<\/title>/)?.[1] ?? "";
    const { lines, ...seen } = JSON.parse(title.replaceAll("&quot;", '"'));
    assert.deepEqual(seen, {
      errors: [],
      pictures: 36,
      charts: 6,
      codes: 8,
      dots: 1200,
      overflows: false,
      asked: 0,
    });
    assert.ok(lines >= 4, `${lines} lines`);
  });

  Deno.test("the report follows the preference for dark mode", async () => {
    const corner = async (name: string, flags: readonly string[]) => {
      const path = `${folder}/${name}.png`;
      await browse(browser, `file://${run}/report.html`, [
        `--screenshot=${path}`,
        "--window-size=800,600",
        ...flags,
      ]);
      const { data, width, height } = decode(await Deno.readFile(path));
      assert.deepEqual([width, height], [800, 600]);
      assert.ok(new Set(data).size > 20, "something is drawn");
      return data[0] + data[1] + data[2];
    };
    assert.ok(await corner("light", []) > 3 * 230);
    assert.ok(await corner("dark", ["--blink-settings=preferredColorScheme=0"]) < 3 * 60);
  });
}

Deno.test("a run with broken records is still evaluated, without its curves", async () => {
  const damaged = `${folder}/damaged`;
  await Deno.mkdir(`${damaged}/checkpoints`, { recursive: true });
  for (const name of ["config.json", "checkpoints/last.safetensors"]) {
    await Deno.copyFile(`${run}/${name}`, `${damaged}/${name}`);
  }
  await Deno.writeTextFile(`${damaged}/metrics.jsonl`, '{"step":1e999}\n');
  const { code, stdout, stderr } = await runTask("evaluate", [
    ...[damaged, "--device", "cpu", "--json", "--limit", "4"],
  ]);
  assert.equal(code, 0, stderr);
  assert.equal(lastLine(stdout).images, 4);
  assert.match(
    stderr,
    /^Cannot read .*metrics\.jsonl: .* in line 1, got .*; the report has no curves$/m,
  );
  const page = await Deno.readTextFile(`${damaged}/report.html`);
  assert.doesNotMatch(page, /class="chart"/);
  assert.match(page, /class="pictures"/);
});
