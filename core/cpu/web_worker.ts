/** Workers of the CPU device in a browser. */
import { endOf, WORK, type WorkerPlaces } from "./worker.ts";

const PROGRAM = `onmessage = ({ data }) => {
  try {
    (${WORK})(data, () => postMessage("ready"));
  } finally {
    close();
  }
};`;

const ADVICE =
  "the page's Content-Security-Policy must allow worker-src blob:; if memory ran out, " +
  "use fewer threads";

/** Starts a worker; see `StartWorker`. Its program comes from a Blob, so that a bundle needs no other file, and can be
 * on another server than the page. */
export async function startWebWorker(
  places: WorkerPlaces,
  onEnd: (reason: string) => void,
): Promise<void> {
  const words = (got: string) => endOf(places.slot, got, ADVICE);
  const address = URL.createObjectURL(new Blob([PROGRAM], { type: "text/javascript" }));
  try {
    await new Promise<void>((started, refused) => {
      const end = (got: string) => {
        onEnd(words(got));
        refused(new Error(words(got)));
      };
      const worker = new Worker(address);
      worker.onmessage = () => started();
      worker.onerror = (event) => end((event as Partial<ErrorEvent>).message ?? "no start");
      worker.postMessage(places);
    });
  } finally {
    URL.revokeObjectURL(address);
  }
}
