/** The Protocol Buffers encoder of the npm package `protobufjs`; `model_file.ts` loads this module on demand. */
export { default as protobuf } from "protobufjs/light.js";
