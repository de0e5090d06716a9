/** What the studies of sizes compare. */
import type { SettingsAxis } from "../../studies/study.ts";

/** The clustered codebook as the paper has it, and this toolkit's. */
export const CLUSTERED: SettingsAxis = {
  name: "codebook",
  values: {
    "clustered": { quantizer: { type: "clustered" } },
    "clustered-ema": { quantizer: { type: "clustered-ema" } },
  },
};
