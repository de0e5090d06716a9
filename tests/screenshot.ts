/** Takes a picture of a report or of a study's page, as docs/images has them.
 *
 *     deno run -A tests/screenshot.ts runs/decay/study.html docs/images/study.png 1240x1800 [dark]
 *
 * The size is that of the window, in pixels; what is below it is cut off.
 */
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { browse, findBrowser } from "./browser.ts";

const [page, picture, size = "1240x1800", mode = "light"] = Deno.args;
const browser = await findBrowser();
if (page === undefined || picture === undefined || browser === undefined) {
  console.error(
    "Cannot take a picture: a page, a file for the picture and a browser must be there",
  );
  Deno.exit(2);
}
await browse(browser, pathToFileURL(resolve(page)).href, [
  `--screenshot=${resolve(picture)}`,
  `--window-size=${size.replace("x", ",")}`,
  ...mode === "dark" ? ["--blink-settings=preferredColorScheme=0"] : [],
]);
