/** What protocols say, in words. */
import { escapeHtml } from "./page.ts";

/** Draws a table of protocols by hash. */
export function drawProtocols(protocols: Readonly<Record<string, object>>): string {
  const described = Object.entries(protocols).map(([hash, protocol]) =>
    `<tr><td><code>${hash}</code></td><td>${escapeHtml(showProtocol(protocol))}</td></tr>`
  );
  return `<table><thead><tr><th>protocol</th><th>what it says</th></tr></thead>
<tbody>${described.join("\n")}</tbody></table>`;
}

function showProtocol(protocol: object): string {
  return Object.entries(protocol).filter(([, value]) => value !== null).map(([name, value]) => {
    if (typeof value === "string") return `${name}: ${value}`;
    const isRecord = typeof value === "object" && !Array.isArray(value);
    return `${name}: ${isRecord ? showProtocol(value) : JSON.stringify(value)}`;
  }).join("; ");
}
