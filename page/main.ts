/** The demonstration page. */
import { Codec } from "./codec.ts";
import { CodeByCode } from "./code_by_code.ts";
import { startCollapse } from "./collapse.ts";
import { askedDevice, chooseDevice, Turns } from "./device.ts";
import { find, Part, showError } from "./dom.ts";
import { startDraw } from "./draw.ts";
import { startGenerate } from "./generate.ts";
import type { Maker } from "./making.ts";
import { loadDigits } from "./pictures.ts";
import { StepByStep } from "./step_by_step.ts";
import { loadDiffusion, loadFirstStage, loadTransformer } from "./weights.ts";

/** The transformer's share of the bytes of both generators. */
const TRANSFORMER_SHARE = 0.75;

async function main(): Promise<void> {
  const alert = find("#page-alert", HTMLElement);
  addEventListener("error", ({ error }) => showError(alert, error));
  addEventListener("unhandledrejection", ({ reason }) => showError(alert, reason));
  const devices = find("#devices", HTMLSelectElement);
  devices.value = askedDevice();
  devices.onchange = () => location.search = `?device=${devices.value}`;
  const { device, words } = await chooseDevice();
  find("#device", HTMLElement).textContent = words;

  const turns = new Turns();
  const draw = new Part("draw"), collapse = new Part("collapse"), generate = new Part("generate");
  const digits = once(loadDigits);
  const codec = once(async () =>
    await Codec.open(
      await loadFirstStage(device, turns, (share) => draw.progress(share)),
      device,
      turns,
    )
  );
  await Promise.all([
    collapse.start(async () => await startCollapse(collapse, device, turns, await digits())),
    draw.start(async () => await startDraw(draw, await codec(), await digits())),
    generate.start(async () => {
      const transformer = await loadTransformer(device, turns, (share) => {
        generate.progress(TRANSFORMER_SHARE * share);
      });
      const diffusion = await loadDiffusion(device, turns, (share) => {
        generate.progress(TRANSFORMER_SHARE + (1 - TRANSFORMER_SHARE) * share);
      });
      const parts = [await codec(), device, turns] as const;
      const makers = new Map<string, Maker>([
        ["transformer", new CodeByCode(transformer, ...parts)],
        ["diffusion", new StepByStep(diffusion, ...parts)],
      ]);
      await startGenerate(generate, makers, await codec());
    }),
  ]);
}

/** Loads something on the first request, and again only after a failure. */
function once<T>(load: () => Promise<T>): () => Promise<T> {
  let loaded: Promise<T> | undefined;
  return () =>
    loaded ??= load().catch((error) => {
      loaded = undefined;
      throw error;
    });
}

await main().catch((error) => showError(find("#page-alert", HTMLElement), error));
