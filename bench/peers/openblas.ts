/** The matrix product of OpenBLAS, or of another BLAS on this machine.
 *
 *     deno run -A bench/peers/openblas.ts
 */
import { arithmeticCeiling } from "../ceiling.ts";
import { report } from "./side.ts";
import { WORKS } from "./works.ts";

const ceiling = await arithmeticCeiling();
report("matmul", ceiling === undefined ? null : WORKS.matmul.operations / ceiling.rate / 1e6);
