/** The scalars of training steps: they stay on the device until they are read together, and are then summed over an
 * epoch. */
import { withoutGradients } from "../core/execute.ts";
import { reshape, stack } from "../core/functions/movement.ts";
import type { Scope, Tensor } from "../core/tensor.ts";
import { meanOverRanks, type Replicas, SINGLE } from "../nn/replicas.ts";
import type { Scalars } from "../objectives/objective.ts";

/** Collects the scalars of several steps and reads them together, because each read waits for the device. */
export class ScalarBuffer implements Disposable {
  readonly #names: readonly string[];
  readonly #replicas: Replicas;
  readonly #rows: Tensor[] = [];

  /** Collects scalars with these names.
   * @param replicas the replicas over which the scalars are averaged when they are read
   */
  constructor(names: readonly string[], replicas: Replicas = SINGLE) {
    this.#names = names;
    this.#replicas = replicas;
  }

  /** The number of steps not yet read. */
  get length(): number {
    return this.#rows.length;
  }

  /** Keeps a step's scalars, but not its tape, beyond the step's scope. */
  add(scalars: Readonly<Record<string, Tensor>>, scope: Scope): void {
    const row = withoutGradients(() => {
      const [first, ...rest] = this.#names.map((name) => reshape(scalars[name], []));
      return stack([first, ...rest]);
    });
    this.#rows.push(scope.keep(row));
  }

  /** Reads the collected scalars, the earliest step first. */
  async take(): Promise<Scalars[]> {
    const rows = this.#rows.splice(0);
    if (rows.length === 0) return [];
    const [first, ...rest] = rows;
    using _scope = first.device.scope();
    const values = await meanOverRanks(stack([first, ...rest]), this.#replicas).floats();
    for (const row of rows) row.dispose();
    return rows.map((_, step) => {
      const row = values.subarray(step * this.#names.length);
      return Object.fromEntries(this.#names.map((name, at) => [name, row[at]]));
    });
  }

  /** Frees the collected scalars without reading them. */
  [Symbol.dispose](): void {
    for (const row of this.#rows.splice(0)) row.dispose();
  }
}

/** Sums of scalars over steps; plain JSON. */
export interface ScalarSums {
  /** The number of steps. */
  steps: number;
  /** The sums, by name. */
  sums: Record<string, number>;
}

/** No sums yet. */
export function noSums(names: readonly string[]): ScalarSums {
  return { steps: 0, sums: Object.fromEntries(names.map((name) => [name, 0])) };
}

/** Adds the scalars of a step to the sums. */
export function addScalars(to: ScalarSums, scalars: Scalars): void {
  for (const [name, value] of Object.entries(scalars)) to.sums[name] += value;
  to.steps++;
}

/** The means over the steps. */
export function meansOf({ steps, sums }: ScalarSums): Scalars {
  return Object.fromEntries(Object.entries(sums).map(([name, sum]) => [name, sum / steps]));
}
