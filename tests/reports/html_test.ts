import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import fc from "fast-check";
import { escapeHtml, joinHtml, markup } from "../../reports/html.ts";
import { page, section } from "../../reports/page.ts";
import { codeBlock, dataBlock } from "../../reports/page_content.ts";

/** Text with everything that means something in HTML. */
const text = fc.string({ unit: fc.constantFrom(...`<>&"'\`=/!-ab \n\u2028\u2029é😀`) });

/** What HTML shows for a text with entities. */
function shown(escaped: string): string {
  const names: Readonly<Record<string, string>> = { lt: "<", gt: ">", quot: '"', amp: "&" };
  return escaped.replace(
    /&(?:#(\d+)|(\w+));/g,
    (_, code, name) => code === undefined ? names[name] : String.fromCodePoint(Number(code)),
  );
}

Deno.test("a template shows any value as text, never as markup", () => {
  fc.assert(fc.property(text, (value) => {
    const escaped = escapeHtml(value);
    assert.doesNotMatch(escaped, /[<>"'`]/);
    assert.equal(shown(escaped), value);
    const whole = markup`<b title="${value}">${[value, markup`<i>${value}</i>`]}</b>`;
    assert.equal(
      String(whole),
      `<b title="${escaped}">${escaped}<i>${escaped}</i></b>`,
      "markup in markup stays what it is",
    );
    assert.equal(String(joinHtml(["", value])), escaped);
  }));
});

Deno.test("only a template's own result counts as markup, not an object that imitates it", () => {
  const forged = { toString: () => "<script>", markup: "<script>" } as unknown as string;
  assert.equal(String(markup`${forged}`), "&lt;script&gt;");
  const heading = String(section("<a>", "<b>", markup`<p>`));
  assert.equal(heading, '<section><h2>&lt;a&gt;</h2><p class="faint">&lt;b&gt;</p>\n<p></section>');
  assert.match(page("</title><script>", []), /<title>&lt;\/title&gt;&lt;script&gt;<\/title>/);
});

Deno.test("a data block contains the same JSON, and its contents cannot close it", () => {
  fc.assert(fc.property(fc.anything().map((value) => [value, "</script><!--\u2028"]), (value) => {
    let json: string;
    try {
      json = JSON.stringify(value);
    } catch {
      return; // No JSON.
    }
    const block = String(dataBlock(value));
    const [, inside] = block.match(/^<script type="application\/json">(.*)<\/script>$/s)!;
    assert.doesNotMatch(inside, /[<>\u2028\u2029]/);
    assert.deepEqual(JSON.parse(inside), JSON.parse(json));
  }));
});

Deno.test("a script that contains its own end tag is rejected", () => {
  for (const code of ['"</script>"', '"</SCRIPT x"', '"<!-- <script>"', "<script>"]) {
    assert.throws(() => codeBlock("script", code), /must not end or hide what follows, got </);
  }
  assert.throws(() => codeBlock("style", "</style>"), TypeError);
});

Deno.test("a page's policy allows only its own script and style", () => {
  const policyOf = (text: string) =>
    shown(text.match(/http-equiv="Content-Security-Policy" content="([^"]*)"/)![1]).split("; ");
  const hash = (text: string) => `'sha256-${createHash("sha256").update(text).digest("base64")}'`;
  const withScript = page("a", [], { script: "run();", style: "p{}" });
  const [, style] = withScript.match(/<style>(.*?)<\/style>/s)!;
  assert.deepEqual(policyOf(withScript), [
    "default-src 'none'",
    "img-src data:",
    `style-src-elem ${hash(style)}`,
    "style-src-attr 'unsafe-inline'",
    `script-src ${hash("run();")}`,
    "base-uri 'none'",
    "form-action 'none'",
  ]);
  assert.ok(policyOf(page("a", [])).includes("script-src 'none'"));
});
