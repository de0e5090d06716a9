/** A checkout in which the documented commands run, with the files of which the pages speak. */
import { delimiter, dirname } from "node:path";
import { gunzipSync } from "node:zlib";
import { noisePng } from "../training/made_run.ts";
import { blocksOf, ROOT } from "./commands.ts";

/** What every run of a documented study has. */
const TINY = {
  model: { hidden: 8, residualHidden: 4 },
  training: { batchSize: 8, maxSteps: 1 },
};

/** A folder that looks like this project's, with runs of its own. */
export class UserCheckout {
  /** Its path. */
  readonly folder: string = Deno.makeTempDirSync({ prefix: "codebook-docs-" });

  /** Links the project, and writes pictures, published weights, and the program and the studies that pages show. */
  constructor() {
    for (const { name } of Deno.readDirSync(ROOT)) {
      if (!/^(runs|dist|\..*)$/.test(name)) Deno.symlinkSync(ROOT + name, `${this.folder}/${name}`);
    }
    for (const images of ["pictures", "originals"]) {
      Deno.mkdirSync(`${this.folder}/${images}`);
      for (let at = 0; at < 20; at++) this.#write(`${images}/${at}.png`, noisePng(28, 28, 3, at));
    }
    this.#write("vqgan.ckpt", gunzipSync(fixture("vqgan/taming.ckpt.gz")));
    for (const name of ["ffhq.ckpt", "cin.ckpt"]) {
      this.#write(name, gunzipSync(fixture("net2net/net2net.ckpt.gz")));
    }
    this.#write("model.ckpt", gunzipSync(fixture("ldm/whole.ckpt.gz")));
    this.#write("config.yaml", fixture("ldm/config.yaml"));
    const [program] = blocksOf("docs/distributed.md", "ts ignore");
    this.#write("program.ts", new TextEncoder().encode(program));
    for (const block of blocksOf("docs/studies.md", "json")) {
      const { base, seeds: [seed] = [42], ...study } = JSON.parse(block);
      const shrunk = JSON.stringify({ ...study, base: { ...base, ...TINY }, seeds: [seed] });
      this.#write(`${study.name}.json`, new TextEncoder().encode(shrunk));
    }
  }

  #write(name: string, bytes: Uint8Array): void {
    Deno.writeFileSync(`${this.folder}/${name}`, bytes);
  }

  /** Runs a line of the shell there. Gives what went wrong, if anything did. */
  async problemOf(line: string): Promise<string | undefined> {
    const { code, stdout, stderr } = await new Deno.Command("bash", {
      args: ["-o", "pipefail", "-c", line],
      cwd: this.folder,
      env: {
        NO_COLOR: "1",
        PATH: [dirname(Deno.execPath()), Deno.env.get("PATH")].join(delimiter),
        OMPI_ALLOW_RUN_AS_ROOT: "1",
        OMPI_ALLOW_RUN_AS_ROOT_CONFIRM: "1",
        OMPI_MCA_rmaps_base_oversubscribe: "1",
      },
      stdin: "null",
    }).output();
    if (code === 0) return undefined;
    const [told, printed] = [stderr, stdout].map((bytes) => new TextDecoder().decode(bytes).trim());
    return `${line}\nended with ${code}:\n${told.slice(-800)}\n${printed.slice(-300)}`;
  }

  /** Removes it. */
  [Symbol.dispose](): void {
    Deno.removeSync(this.folder, { recursive: true });
  }
}

function fixture(name: string): Uint8Array<ArrayBuffer> {
  return Deno.readFileSync(`${ROOT}tests/fixtures/${name}`);
}
