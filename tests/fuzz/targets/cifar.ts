/** CIFAR-10: records that are too many, too few, or cut. */
import { readCifar } from "../../../data/formats/cifar.ts";
import { cifar } from "../../data/archives.ts";
import type { FuzzTarget } from "../target.ts";

const target: FuzzTarget = {
  name: "cifar",
  sample: () => cifar(1, () => 7),
  make(draw) {
    const file = cifar(draw.repeats(64), () => 7);
    const label = 3073 * draw.below(file.length / 3073);
    file[label] = draw.lie(file[label], 255);
    return file.slice(0, draw.lie(file.length));
  },
  read: (file, path) => readCifar(file, path),
};
export default target;
