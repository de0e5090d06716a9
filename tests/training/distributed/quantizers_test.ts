/** Every quantiser over ranks that a real mpirun starts, against one process with the whole batch. */
import assert from "node:assert/strict";
import { findTestMpis, launch } from "./launch.ts";

const mpi = (await findTestMpis()).find(({ name }) => name === "Open MPI");

if (mpi !== undefined) {
  for (const ranks of [2, 3]) {
    Deno.test(`over ${ranks} ranks every quantiser has the same states, losses and gradients as on one process`, async () => {
      const { success, stdout, stderr } = await launch(mpi, ranks, "quantizers_ranks.ts");
      assert.ok(success, `${stdout}\n${stderr}`);
      assert.equal(stdout.match(/^rank \d of \d: \d{3} quantisers agree$/gm)?.length, ranks);
    });
  }
}
