/** The sizes that every named study has. */
import type { Study } from "../../studies/study.ts";

/** From a quick trial to the paper's own settings; `--data.name` chooses other images. */
export const SCALES_OF_NAMED: NonNullable<Study["scales"]> = {
  smoke: {
    // Shows that everything runs, in a few minutes on two cores; its numbers say nothing about the methods.
    settings: {
      model: { hidden: 32, residualHidden: 16 },
      training: { batchSize: 32, maxSteps: 30 },
    },
    seeds: [42],
  },
  small: {
    // Ten epochs of 9,003 digits at a quarter of the preset's width: two dozen runs take half an hour or so on two cores.
    settings: { model: { hidden: 32, residualHidden: 8 } },
    seeds: [42, 43],
  },
  paper: {
    settings: { training: { batchSize: 1024, epochs: 500 } }, // As arXiv 2307.15139 trains.
    seeds: [42],
  },
};
