/** Prints the flags that a process with this one's permissions gives the process of a run, and what launches one. */
import { launchPermissions, placesOf, runPermissions } from "../../studies/run_permissions.ts";

const [folder, saved] = Deno.args;
const flags = [runPermissions(placesOf(folder, JSON.parse(saved))), launchPermissions(folder)];
console.log(JSON.stringify(flags));
