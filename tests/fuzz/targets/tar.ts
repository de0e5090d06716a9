/** Tar: headers with true checksums that lie about lengths, names of all forms, and many entries. */
import { FileSource } from "../../../data/formats/byte_source.ts";
import { readTar } from "../../../data/formats/tar.ts";
import { open } from "node:fs/promises";
import { type Entry, tar } from "../../data/archives.ts";
import { text } from "../build.ts";
import type { Draw } from "../draw.ts";
import type { FuzzTarget } from "../target.ts";

function entry(draw: Draw): Entry {
  const content = draw.bytes(draw.pick([0, 1, 100, 512, 2000]));
  const size = draw.lie(content.length, 2 ** 33 - 1);
  const name = draw.chance(0.95) ? draw.name() : draw.pick(["../a", "/a", "", "C:\\a", "a\0b"]);
  const kind = draw.below(8);
  if (kind === 0) {
    return { name, type: "L", content: text("a/".repeat(draw.repeats()) + "b"), size };
  }
  if (kind === 1) {
    const record = `${draw.lie(30)} path=${draw.name()}\n`;
    return { name, type: "x", content: text(record.repeat(draw.repeats(4096))) };
  }
  return { name, type: draw.pick(["0", "0", "0", "7", "5", "2", "g"]), content, size };
}

const target: FuzzTarget = {
  name: "tar",
  sample: () => tar([{ name: "a/b.png", content: text("bytes") }, { name: "c" }]),
  make(draw) {
    const entries = Array.from({ length: draw.repeats(2048) }, () => entry(draw));
    const whole = tar(entries);
    return draw.chance(0.2) ? whole.slice(0, draw.below(whole.length)) : whole;
  },
  async read(_, path) {
    await using file = await open(path);
    const source = new FileSource(file, (await file.stat()).size);
    let total = 0;
    for await (const { size, name } of readTar(source, path)) {
      total += name.length;
      if (size <= 2 ** 27) total += (await source.read(size)).length;
    }
    return total;
  },
};
export default target;
