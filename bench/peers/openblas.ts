/** OpenBLAS's matrix product, or that of another BLAS that this machine has.
 *
 *     deno run -A bench/peers/openblas.ts
 */
import { arithmeticCeiling } from "../ceiling.ts";
import { report } from "./side.ts";
import { WORKS } from "./works.ts";

const ceiling = await arithmeticCeiling();
report("matmul", ceiling === undefined ? null : WORKS.matmul.operations / ceiling.rate / 1e6);
