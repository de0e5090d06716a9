/** Every command of the README and of docs/, run as a user runs it, in the order of the pages. */
import assert from "node:assert/strict";
import { findTestMpis } from "../training/distributed/launch.ts";
import { collide, type Job, jobsIn, NOT_RUN, TYPED } from "./jobs.ts";
import { UserCheckout } from "./user_checkout.ts";

/** Commands at a time. */
const LANES = 2;

const mpis = await findTestMpis();

Deno.test("every reason to skip a command belongs to a command in the pages", () => {
  for (const [command, reason] of NOT_RUN) {
    assert.ok(TYPED.some((line) => command.test(line)), `no command ${command} ${reason}`);
  }
});

Deno.test("every command in the README and in docs/ runs", async () => {
  using checkout = new UserCheckout();
  const jobs = jobsIn(checkout.folder, { mpi: mpis.length > 0 });
  const problems: string[] = [];
  const waiting = [...jobs], running = new Map<Job, Promise<void>>();
  const run = async (job: Job) => {
    const began = performance.now();
    const problem = await checkout.problemOf(job.line);
    console.log(`${((performance.now() - began) / 1000).toFixed(1)} s  ${job.line}`);
    if (problem !== undefined) problems.push(problem);
    running.delete(job);
  };
  while (waiting.length + running.size > 0) {
    const next = waiting.findIndex((job, at) =>
      ![...running.keys(), ...waiting.slice(0, at)].some((earlier) => collide(job, earlier))
    );
    if (next < 0 || running.size === LANES) await Promise.race(running.values());
    else {
      const [job] = waiting.splice(next, 1);
      running.set(job, run(job));
    }
  }
  assert.deepEqual(problems, []);
});
