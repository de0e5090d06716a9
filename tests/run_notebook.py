"""Executes a notebook with Deno's kernel and prints the outputs of its cells as JSON: a list of messages' contents for each cell.

    python3 tests/run_notebook.py docs/tutorial.ipynb PATH_OF_DENO

Needs python3-jupyter-client of Debian. The kernel is found in a folder of its own, so that none has to be installed.
"""
import json
import os
import queue
import sys
import tempfile

OUTPUTS = ("stream", "display_data", "execute_result")
LATE_SECONDS = 1  # Deno's kernel sometimes says that it is idle before it sends the last output.


def execute(client, source):
    """The outputs of a cell, or an error with what the cell threw."""
    request = client.execute(source)
    outputs = []
    idle = False
    while True:
        try:
            message = client.get_iopub_msg(timeout=LATE_SECONDS if idle else 300)
        except queue.Empty:
            if idle:
                return outputs
            raise
        if message["parent_header"].get("msg_id") != request:
            continue
        content = message["content"]
        if message["msg_type"] == "error":
            raise RuntimeError("\n".join([source, content["ename"], content["evalue"], *content["traceback"]]))
        if message["msg_type"] in OUTPUTS:
            outputs.append(content)
        idle = idle or content.get("execution_state") == "idle"


path, deno = sys.argv[1:]
with tempfile.TemporaryDirectory() as data:
    kernel = os.path.join(data, "kernels", "deno")
    os.makedirs(kernel)
    argv = [deno, "jupyter", "--kernel", "--conn", "{connection_file}"]
    with open(os.path.join(kernel, "kernel.json"), "w") as file:
        json.dump({"argv": argv, "display_name": "Deno", "language": "typescript"}, file)
    os.environ["JUPYTER_DATA_DIR"] = data
    from jupyter_client.manager import start_new_kernel

    with open(path) as file:
        cells = json.load(file)["cells"]
    folder = os.path.dirname(os.path.abspath(path))
    manager, client = start_new_kernel(kernel_name="deno", cwd=folder)
    try:
        sources = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
        print(json.dumps([execute(client, source) for source in sources]))
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
