/** The settings of a run and its devices. */
import { flatSettings } from "../training/flat_settings.ts";
import type { Config } from "../training/config.ts";
import { type Html, joinHtml, markup } from "./html.ts";

/** The devices of a run. */
export interface RunDevices {
  /** The device that trained it; null if unknown. */
  readonly trained: string | null;
  /** The device that evaluated it. */
  readonly measured: string;
}

/** Draws both devices and every setting. */
export function drawSettings(config: Config, { trained, measured }: RunDevices): Html {
  const rows: readonly (readonly [name: string, value: unknown])[] = [
    ...trained === null ? [] : [["trained on", trained] as const],
    ["measured on", measured],
    ...flatSettings(config),
  ];
  const shown = rows.map(([name, value]) =>
    markup`<div><dt>${name}</dt><dd>${showValue(value)}</dd></div>`
  );
  return markup`<dl class="settings">${joinHtml(shown)}</dl>`;
}

function showValue(value: unknown): string {
  if (value === null) return "none";
  return Array.isArray(value) ? value.join(", ") : String(value);
}
