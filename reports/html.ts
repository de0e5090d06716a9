/** HTML and SVG whose every value is escaped. A page can run this file's functions too: they use nothing but each other. */

/** Markup that is safe to stand in a page. */
export class Html {
  readonly #markup: string;

  /** Takes markup as it is: only for what this program wrote itself. Everything else goes through `markup`. */
  constructor(markup: string) {
    this.#markup = markup;
  }

  /** Whether there is nothing. */
  get isEmpty(): boolean {
    return this.#markup === "";
  }

  /** The markup. */
  toString(): string {
    return this.#markup;
  }
}

/** What can stand in a template: markup as it is, a list one after another, anything else as text. */
export type HtmlValue = Html | string | number | readonly HtmlValue[];

/** A value as markup: the one way by which values get into pages. It is safe as text and between the quotes of an
 * attribute. */
export function escapeHtml(value: HtmlValue): string {
  if (value instanceof Html) return value.toString();
  if (Array.isArray(value)) return value.map(escapeHtml).join("");
  const entities: Readonly<Record<string, string>> = {
    "&": "&amp;",
    "<": "&lt;",
    ">": "&gt;",
    '"': "&quot;",
    "'": "&#39;",
    "`": "&#96;",
  };
  return String(value).replace(/[&<>"'`]/g, (letter) => entities[letter]);
}

/** A template of markup, with its values escaped. Attributes must stand in quotes.
 *
 * ```ts
 * import { markup } from "./html.ts";
 * import assert from "node:assert/strict";
 * assert.equal(String(markup`<b>${"1 < 2"}</b>`), "<b>1 &lt; 2</b>");
 * assert.equal(String(markup`<p>${[markup`<br>`, '"']}</p>`), "<p><br>&quot;</p>");
 * ```
 */
export function markup(parts: TemplateStringsArray, ...values: readonly HtmlValue[]): Html {
  return new Html(
    parts.reduce((markup, part, at) => markup + escapeHtml(values[at - 1]) + part),
  );
}

/** Values below each other, without those that are empty. */
export function joinHtml(values: readonly HtmlValue[]): Html {
  return new Html(values.map(escapeHtml).filter((part) => part !== "").join("\n"));
}
