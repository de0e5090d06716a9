/** The device that the page computes on. */
import { type Device, DEVICE_CHOICES, type DeviceChoice, openDevice } from "@codebook/codebook/web";

/** A device, and what the page says of it. */
export interface Chosen {
  readonly device: Device;
  readonly words: string;
}

/** Opens the device that the address names, else the best one there is: WebGPU on a real GPU, the CPU, plain
 * JavaScript. */
export async function chooseDevice(): Promise<Chosen> {
  const asked = askedDevice();
  for (const choice of [asked, "auto"] as const) {
    try {
      const device = await openDevice(choice);
      return { device, words: wordsOf(asked, device) };
    } catch (error) {
      console.warn(error);
    }
  }
  const device = await openDevice("reference");
  return { device, words: wordsOf(asked, device) };
}

/** What the address asks for: `?device=cpu`. */
export function askedDevice(): DeviceChoice {
  const asked = new URLSearchParams(location.search).get("device");
  return DEVICE_CHOICES.find((choice) => choice === asked) ?? "auto";
}

const WORDS: Readonly<Record<Device["name"], string>> = {
  webgpu: "with WebGPU",
  cpu: "on the CPU, with WebAssembly on one thread",
  reference: "in plain JavaScript, which is slow",
};

/** Where the page computes and, if that is not what one would expect, why. */
function wordsOf(asked: DeviceChoice, { name, description }: Device): string {
  const adapter = name === "webgpu" ? ` on ${description.replace("webgpu: ", "")}` : "";
  const where = `Computing ${WORDS[name]}${adapter}.`;
  if (name === asked || name === "webgpu") return where;
  if (asked !== "auto") return `Computing ${WORDS[asked]} is not possible here. ${where}`;
  const { gpu } = navigator as { readonly gpu?: unknown };
  return `${gpu === undefined ? "There is no WebGPU here." : "WebGPU finds no GPU here."} ${where}`;
}

/** Lets works on one device take turns: each has scopes of its own on it, which must not be open at the same time. */
export class Turns {
  #last: Promise<unknown> = Promise.resolve();

  /** Does a work once all earlier ones are done. */
  take<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#last.then(work);
    this.#last = done.catch(() => {});
    return done;
  }
}
