/** HTML and SVG with every value escaped. A page can run the functions of this file too, because they only use each
 * other. */

/** Markup that is safe to insert into a page. */
export class Html {
  readonly #markup: string;

  /** Takes markup unchanged. Only for markup that this program wrote itself; use `markup` for everything else. */
  constructor(markup: string) {
    this.#markup = markup;
  }

  /** Whether it is empty. */
  get isEmpty(): boolean {
    return this.#markup === "";
  }

  /** The markup. */
  toString(): string {
    return this.#markup;
  }
}

/** A value in a template: markup is inserted unchanged, the items of a list one after another, anything else as
 * text. */
export type HtmlValue = Html | string | number | readonly HtmlValue[];

/** Converts a value to markup. All values in pages go through this. The result is safe as text and between the quotes
 * of an attribute. */
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

/** A template of markup, with its values escaped. Attribute values must be quoted.
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

/** Joins values on separate lines, without the empty ones. */
export function joinHtml(values: readonly HtmlValue[]): Html {
  return new Html(values.map(escapeHtml).filter((part) => part !== "").join("\n"));
}
