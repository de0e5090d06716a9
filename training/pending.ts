/** Scalars of steps that are still on the device. */
import { withoutGradients } from "../core/execute.ts";
import { reshape, stack } from "../core/functions/movement.ts";
import type { Scope, Tensor } from "../core/tensor.ts";
import { SCALAR_NAMES, type StepScalars } from "./carried.ts";
import type { StepResult } from "./step.ts";

/** Collects the scalars of several steps and reads them together: reading waits for the device. */
export class PendingScalars implements Disposable {
  readonly #rows: Tensor[] = [];

  /** How many steps wait to be read. */
  get length(): number {
    return this.#rows.length;
  }

  /** Keeps a step's scalars, though not its tape, beyond the step's scope. */
  add({ scalars }: StepResult, scope: Scope): void {
    const row = withoutGradients(() => {
      const [first, ...rest] = SCALAR_NAMES.map((name) => reshape(scalars[name], []));
      return stack([first, ...rest]);
    });
    this.#rows.push(scope.keep(row));
  }

  /** Reads what waits, the earliest step first. */
  async take(): Promise<StepScalars[]> {
    const rows = this.#rows.splice(0);
    if (rows.length === 0) return [];
    const [first, ...rest] = rows;
    using _scope = first.device.scope();
    const values = await stack([first, ...rest]).floats();
    for (const row of rows) row.dispose();
    return rows.map((_, step) => {
      const row = values.subarray(step * SCALAR_NAMES.length);
      return Object.fromEntries(SCALAR_NAMES.map((name, at) => [name, row[at]])) as StepScalars;
    });
  }
  /** Lets go of what waits, unread. */
  [Symbol.dispose](): void {
    for (const row of this.#rows.splice(0)) row.dispose();
  }
}
