/** Arrays on the host. */
import type { HostArray } from "./backend.ts";
import type { Shape } from "./shape.ts";

/** An array on the host with its shape, row-major. */
export interface HostTensor {
  /** The lengths of the axes; their product is the number of values. */
  readonly shape: Shape;
  /** The elements: float32 or int32. */
  readonly values: HostArray;
}
