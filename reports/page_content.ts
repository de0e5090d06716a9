/** The content policy of a page, and its scripts, styles and data. */
import { createHash } from "node:crypto";
import { Html } from "./html.ts";

/** A value for the scripts of a page, as a block of JSON. */
export function dataBlock(value: unknown): Html {
  const letters = /[<>\u2028\u2029]/g;
  const json = JSON.stringify(value).replace(
    letters,
    (letter) => `\\u${letter.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
  return new Html(`<script type="application/json">${json}</script>`);
}

/** A script or a style sheet written by this program.
 * @throws {TypeError} its text contains an end tag or a comment that would end the block early
 */
export function codeBlock(element: "script" | "style", code: string): Html {
  const [end] = /<\/?script|<\/style|<!--/i.exec(code) ?? [];
  if (end !== undefined) {
    throw new TypeError(
      `Cannot put a ${element} into a page: its text must not end or hide what follows, got ${end}`,
    );
  }
  return new Html(`<${element}>${code}</${element}>`);
}

/** The policy of a page that loads nothing, sends nothing, and runs only the given script: no other script, and no
 * handlers in attributes. Pictures are embedded in the page. Attributes may contain styles, for colours.
 * @param script the text of the script, if there is one
 */
export function contentPolicy({ style, script }: PageCode): string {
  return [
    "default-src 'none'",
    "img-src data:",
    `style-src-elem ${hashOf(style)}`,
    "style-src-attr 'unsafe-inline'",
    `script-src ${script === undefined ? "'none'" : hashOf(script)}`,
    "base-uri 'none'",
    "form-action 'none'",
  ].join("; ");
}

/** The styles and the script of a page. */
export interface PageCode {
  /** The text of its style sheet. */
  readonly style: string;
  /** The text of its script, if it has one. */
  readonly script?: string;
}

function hashOf(text: string): string {
  return `'sha256-${createHash("sha256").update(text).digest("base64")}'`;
}
