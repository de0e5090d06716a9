import assert from "node:assert/strict";
import { findMpi } from "../../training/distributed/mpi_library.ts";
import { lastLine, runTask } from "./child.ts";

Deno.test("doctor names every device, the libraries, and what auto picks", async () => {
  const { code, stdout, stderr } = await runTask("doctor", ["--json"]);
  assert.equal(code, 0, stderr);
  const { deno, devices, auto, cores, blas, dnn, mpi } = lastLine(stdout);
  assert.equal(deno, Deno.version.deno);
  assert.equal(cores, navigator.hardwareConcurrency);
  const found = devices as {
    name: string;
    description: string;
    available: boolean;
    adapter?: { limits: object };
  }[];
  assert.deepEqual(found.map(({ name }) => name).sort(), ["cpu", "reference", "webgpu"]);
  assert.ok(found.some(({ name, available }) => name === auto && available));
  const cpu = found.find(({ name }) => name === "cpu");
  const [products, convolutions] = [blas, dnn].map((by) => by as string | null);
  assert.equal(
    cpu?.description.replace(/^.*? threads?/, ""),
    (products === null ? "" : `, products by ${products}`) +
      (convolutions === null ? "" : `, convolutions by ${convolutions}`),
  );
  assert.equal(mpi === null, findMpi() === undefined);
  const webgpu = found.find(({ name }) => name === "webgpu");
  if (webgpu?.available) assert.ok(Object.keys(webgpu.adapter?.limits ?? {}).length > 0);
});

Deno.test("every task lists its flags with --help", async () => {
  const helps = await Promise.all(
    ["train", "evaluate", "doctor"].map((t) => runTask(t, ["--help"])),
  );
  const flags = [["--training.epochs <an integer of at least 1>, default 10"], ["RUN"], ["--json"]];
  helps.forEach(({ code, stdout }, task) => {
    assert.equal(code, 0);
    for (const flag of [...flags[task], "--json", "--help"]) assert.ok(stdout.includes(flag), flag);
  });
});
