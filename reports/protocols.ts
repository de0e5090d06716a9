/** Protocols in words. */
import { type Html, joinHtml, markup } from "./html.ts";

/** Draws a table of protocols by hash. */
export function drawProtocols(protocols: Readonly<Record<string, object>>): Html {
  const described = Object.entries(protocols).map(([hash, protocol]) =>
    markup`<tr><td><code>${hash}</code></td><td>${showProtocol(protocol)}</td></tr>`
  );
  return markup`<table><thead><tr><th>protocol</th><th>definition</th></tr></thead>
<tbody>${joinHtml(described)}</tbody></table>`;
}

function showProtocol(protocol: object): string {
  return Object.entries(protocol).filter(([, value]) => value !== null).map(([name, value]) => {
    if (typeof value === "string") return `${name}: ${value}`;
    const isRecord = typeof value === "object" && !Array.isArray(value);
    return `${name}: ${isRecord ? showProtocol(value) : JSON.stringify(value)}`;
  }).join("; ");
}
