/** Ranks that a real mpirun starts. */
import assert from "node:assert/strict";
import { findLaunch, findMpi } from "../../../training/distributed/mpi_library.ts";
import { openMpi } from "../../../training/distributed/mpi.ts";
import { type Ended, findTestMpis, launch, start, type TestMpi } from "./launch.ts";

const mpis = await findTestMpis();

/** The run has ended as it must, or its output tells why not. */
function assertEnded(ended: Ended, success: boolean): void {
  assert.equal(ended.success, success, `${ended.stdout}\n${ended.stderr}`);
}

const linesWith = (text: string, part: string) =>
  text.split("\n").filter((line) => line.includes(part));

/** One rank has said it; MPICH's mpirun lets the others speak too, one after another. */
function assertTold({ name }: TestMpi, ranks: number, told: readonly string[], ended: Ended): void {
  const most = name === "Open MPI" ? 1 : ranks;
  assert.ok(told.length >= 1 && told.length <= most, `${told.length}: ${ended.stderr}`);
}

for (const mpi of mpis) {
  const { name } = mpi;
  for (const ranks of [1, 2, 3, 4]) {
    Deno.test(`${name}: sums, gathers and broadcasts over ${ranks} ranks are correct`, async () => {
      const ended = await launch(mpi, ranks, "collectives_ranks.ts");
      assertEnded(ended, true);
      const agreed = linesWith(ended.stdout, "agrees");
      assert.deepEqual(
        agreed.map((line) => line.split(" agrees")[0]).sort(),
        Array.from({ length: ranks }, (_, rank) => `rank ${rank} of ${ranks}`),
      );
      assert.match(agreed[0], name === "Open MPI" ? /\(Open MPI v/ : /\(MPICH/);
    });
  }

  for (const victim of [0, 1]) {
    Deno.test(`${name}: a rank that is killed ends the run at once (rank ${victim} of 3)`, async () => {
      const { lines, ended } = start(mpi, 3, "endings_ranks.ts", ["sums", "30"]);
      const processes = new Map<number, number>();
      for await (const line of lines) {
        const [, rank, process] = line.match(/^rank (\d) is process (\d+)$/)!.map(Number);
        processes.set(rank, process);
        if (processes.size === 3) break;
      }
      const killed = performance.now();
      Deno.kill(processes.get(victim)!, "SIGKILL");
      assertEnded(await ended, false);
      const after = performance.now() - killed;
      assert.ok(after < 20_000, `the run must end before the time-out, got ${after} ms`);
    });
  }

  Deno.test(`${name}: a rank later than the time-out ends the run with what was waited for`, async () => {
    const ended = await launch(mpi, 2, "endings_ranks.ts", ["late", "1.5"]);
    assertEnded(ended, false);
    assert.ok(ended.milliseconds > 1500 && ended.milliseconds < 20_000, `${ended.milliseconds} ms`);
    assert.equal(
      linesWith(ended.stderr, "Cannot sum")[0],
      "rank 0 of 2: Cannot sum the late values: all 2 ranks must reach this call within 1.5 s, got fewer",
    );
  });

  Deno.test(`${name}: the others wait for a late rank`, async () => {
    const ended = await launch(mpi, 2, "endings_ranks.ts", ["slow", "30"]);
    assertEnded(ended, true);
    assert.equal(linesWith(ended.stdout, "ends").length, 2);
  });

  for (
    const [ending, said] of [
      ["error", "rank 1 has something wrong"],
      ["scope", "rank 1 has something wrong"],
      ["exit", ""],
      ["abort", "rank 1 of 2: Cannot go on: the test wants it"],
    ]
  ) {
    Deno.test(`${name}: a rank that ends by ${ending} ends the run long before the time-out`, async () => {
      const ended = await launch(mpi, 2, "endings_ranks.ts", [ending, "60"]);
      assertEnded(ended, false);
      assert.ok(ended.milliseconds < 20_000, `${ended.milliseconds} ms`);
      assert.equal(linesWith(ended.stdout, "ends").length, 0);
      assert.ok(ended.stderr.includes(said), ended.stderr);
    });
  }

  Deno.test(`${name}: ranks that make different calls end the run with a message`, async () => {
    const ended = await launch(mpi, 2, "endings_ranks.ts", ["lengths", "60"]);
    assertEnded(ended, false);
    assert.match(
      linesWith(ended.stderr, "Cannot sum")[0],
      /: Cannot sum values of different lengths: all 2 ranks must make the same call, got another from one of them$/,
    );
  });

  Deno.test(`${name}: ranks that exit without closing the communicator end normally`, async () => {
    assertEnded(await launch(mpi, 2, "endings_ranks.ts", ["end", "30"]), true);
  });

  Deno.test(`${name}: one rank reports a missing library`, async () => {
    const ended = await launch(mpi, 3, "endings_ranks.ts", ["sums", "30", "/nonexistent.so"]);
    assertEnded(ended, false);
    const told = linesWith(ended.stderr, "RangeError: Cannot use MPI");
    assertTold(mpi, 3, told, ended);
    assert.match(told[0], /must be auto or a library .*, got \/nonexistent\.so \(/);
  });

  Deno.test(`${name}: without permission to call the library, one rank names the flag that grants it`, async () => {
    const permissions = ["--allow-env", "--allow-read"];
    const ended = await launch(mpi, 2, "endings_ranks.ts", ["sums", "30"], permissions);
    assertEnded(ended, false);
    const told = linesWith(ended.stderr, "Error: Cannot start MPI: the library of");
    assertTold(mpi, 2, told, ended);
    assert.match(told[0], /got no permission \(--allow-ffi grants it\)/);
  });
}

const [first, second] = mpis;
if (second !== undefined) {
  Deno.test("a library of a different MPI than the launcher's is rejected", async () => {
    const library = findMpi(
      "auto",
      second.name === "MPICH" ? ["libmpich.so.12"] : ["libmpi.so.40"],
    );
    const args = ["sums", "30", library!.path];
    const ended = await launch(first, 2, "endings_ranks.ts", args);
    assertEnded(ended, false);
    const told = linesWith(ended.stderr, "Error: Cannot start MPI: the library must be that of");
    assertTold(first, 2, told, ended);
    assert.match(told[0], /which started 2 ranks, got .*, which finds 1/);
  });
}

Deno.test("a process that mpirun did not start gets an error that says so", () => {
  assert.equal(findLaunch(), undefined);
  assert.throws(
    () => openMpi(),
    new Error(
      "Cannot start MPI: mpirun must start the processes, as in `mpirun -n 4 deno task train …`, got one that was started by itself",
    ),
  );
});

Deno.test("an invalid time-out is rejected", () => {
  for (const timeout of [0, -1, NaN]) {
    assert.throws(
      () => openMpi({ timeout }),
      new RangeError(
        `Cannot start MPI: the time-out must be a positive number of seconds, got ${timeout}`,
      ),
    );
  }
});
