import assert from "node:assert/strict";
import { taskCommand } from "./child.ts";

Deno.test("on a machine without a desktop the graphics driver prints no warnings", async () => {
  const { code, stderr } = await taskCommand("doctor", [], { XDG_RUNTIME_DIR: "" }).output();
  const text = new TextDecoder().decode(stderr);
  assert.equal(code, 0, text);
  assert.doesNotMatch(text, /XDG_RUNTIME_DIR/);
});
