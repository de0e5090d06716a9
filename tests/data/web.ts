/** A web server on this machine that gives a file as well, or as badly, as a test wants. */

/** How the server behaves. */
export interface Behaviour {
  /** Bytes after which a connection breaks; none by default. */
  readonly breakAfter?: number;
  /** Whether a connection that would break stalls instead: it stays open, and no more comes. */
  readonly stalls?: boolean;
  /** Whether it answers requests for ranges; true. */
  readonly ranges?: boolean;
  /** The status that it refuses with, if it does. */
  readonly status?: number;
}

/** What a server gave, and where it is. */
export interface Web {
  /** The address that files' names are put behind. */
  readonly address: string;
  /** The requests so far: `NAME` or `NAME bytes=…`. */
  readonly requests: string[];
  /** May be changed at any time. */
  behaviour: Behaviour;
}

/** Gives a body a server of some files, and ends it afterwards. */
export async function withWeb(
  files: Readonly<Record<string, Uint8Array<ArrayBuffer>>>,
  body: (web: Web) => Promise<void>,
): Promise<void> {
  const requests: string[] = [];
  const web: Web = { address: "", requests, behaviour: {} };
  const answer = (request: Request): Response => {
    const name = new URL(request.url).pathname.slice(1);
    const { breakAfter = Infinity, stalls = false, ranges = true, status } = web.behaviour;
    const range = request.headers.get("range");
    requests.push(range === null ? name : `${name} ${range}`);
    if (status !== undefined || !(name in files)) {
      return new Response(null, { status: status ?? 404 });
    }
    const file = files[name];
    const [, first, last] = ranges && range?.match(/^bytes=(\d+)-(\d*)$/) || [];
    const start = Number(first ?? 0), end = last ? Number(last) + 1 : file.length;
    const part = file.subarray(start, end);
    const broken = part.length > breakAfter;
    const stream = new ReadableStream<Uint8Array<ArrayBuffer>>({
      start(controller) {
        if (part.length > 0) controller.enqueue(part.slice(0, breakAfter));
        if (!broken) controller.close();
      },
      async pull(controller) {
        if (!broken) return;
        if (stalls) return await new Promise<void>(() => {});
        await new Promise((resolve) => setTimeout(resolve, 20)); // What was sent is on its way.
        controller.error(new Error("the connection breaks, as the test wants"));
      },
    });
    const headers: Record<string, string> = { "content-length": String(part.length) };
    if (first === undefined) return new Response(stream, { headers });
    headers["content-range"] = `bytes ${start}-${end - 1}/${file.length}`;
    return new Response(stream, { status: 206, headers });
  };
  const server = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen() {} }, answer);
  try {
    await body(Object.assign(web, { address: `http://127.0.0.1:${server.addr.port}/` }));
  } finally {
    await server.shutdown();
  }
}
