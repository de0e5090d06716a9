/** The script of a study's page. */
import { drawLines, type Line } from "../reports/line_chart.ts";

/** A run's line in a chart. */
export interface ComparedLine extends Line {
  /** Its combination. */
  readonly row: NonNullable<Line["row"]>;
  /** Its seed. */
  readonly seed: number;
}

/** A chart of all runs. */
export interface ComparedChart {
  /** What it shows. */
  readonly label: string;
  /** Whether the scale is logarithmic. */
  readonly logarithmic: boolean;
  /** How far a run may be from the others and still be included in the chart's range; see `valueRange`. */
  readonly reach?: number;
  /** Every run's line. */
  readonly lines: readonly ComparedLine[];
}

/** The parts of a page element used here. Programs that import this library then do not need browser types. */
interface PageElement {
  readonly textContent: string;
  readonly dataset: Readonly<Record<string, string | undefined>>;
  readonly classList: { add(name: string): void; toggle(name: string, wanted: boolean): void };
  readonly type: string;
  readonly value: string;
  checked: boolean;
  outerHTML: string;
  querySelector(selector: string): PageElement | null;
  querySelectorAll(selector: string): Iterable<PageElement> & ArrayLike<PageElement>;
  closest(selector: string): PageElement | null;
  addEventListener(name: string, hear: (event: { readonly target: PageElement }) => void): void;
}

/** Makes a study's page interactive. Charts show the selected runs, over their own range, and highlight the combination
 * under the pointer. The page runs it from its source text, so it uses only `drawLines` and what that uses. */
export function compareRuns(): void {
  const { document } = globalThis as unknown as { readonly document: PageElement };
  for (const article of document.querySelectorAll("article")) {
    const form = article.querySelector("form"), data = article.querySelector("script");
    if (form === null || data === null) continue;
    const charts: ComparedChart[] = JSON.parse(data.textContent);
    const figures = article.querySelectorAll(".chart");
    const draw = () => {
      const chosen = (name: string) =>
        Array.from(form.querySelectorAll(`[name=${name}]`))
          .filter(({ type, checked }) => type === "hidden" || checked)
          .map(({ value }) => value);
      const rows = chosen("row"), seeds = chosen("seed");
      charts.forEach(({ label, lines, ...scale }, at) => {
        const shown = lines.filter(({ row, seed }) =>
          rows.includes(String(row.index)) && seeds.includes(String(seed))
        );
        figures[at].querySelector("svg")!.outerHTML = drawLines(
          shown,
          label,
          scale,
        ).toString();
      });
    };
    form.addEventListener("change", draw);
    for (const button of form.querySelectorAll("button")) {
      button.addEventListener("click", () => {
        for (const box of form.querySelectorAll("[name=row]")) {
          box.checked = button.value === "all";
        }
        draw();
      });
    }
    form.classList.add("answers");
    const show = (row: string | undefined) => {
      for (const one of article.querySelectorAll("[data-row]")) {
        one.classList.toggle("dim", row !== undefined && one.dataset.row !== row);
      }
    };
    article.addEventListener("pointerover", ({ target }) => {
      show(target.closest("[data-row]")?.dataset.row);
    });
    article.addEventListener("pointerleave", () => show(undefined));
  }
}
