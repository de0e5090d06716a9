/** The axis of the studies of codebook sizes. */
import type { SettingsAxis } from "../../studies/study.ts";

/** The clustered codebook of the paper, and that of this toolkit. */
export const CLUSTERED: SettingsAxis = {
  name: "codebook",
  values: {
    "clustered": { quantizer: { type: "clustered" } },
    "clustered-ema": { quantizer: { type: "clustered-ema" } },
  },
};
