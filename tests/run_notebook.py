"""Executes a notebook with Deno's kernel and prints the outputs of its cells as JSON.

    python3 tests/run_notebook.py docs/tutorial.ipynb PATH_OF_DENO

Needs python3-nbclient of Debian. The kernel is found in a folder of its own, so that none has to be installed.
"""
import json
import os
import sys
import tempfile

path, deno = sys.argv[1:]
with tempfile.TemporaryDirectory() as data:
    kernel = os.path.join(data, "kernels", "deno")
    os.makedirs(kernel)
    argv = [deno, "jupyter", "--kernel", "--conn", "{connection_file}"]
    with open(os.path.join(kernel, "kernel.json"), "w") as file:
        json.dump({"argv": argv, "display_name": "Deno", "language": "typescript"}, file)
    os.environ["JUPYTER_DATA_DIR"] = data
    import nbclient
    import nbformat

    notebook = nbformat.read(path, as_version=4)
    folder = os.path.dirname(os.path.abspath(path))
    client = nbclient.NotebookClient(
        notebook, timeout=300, kernel_name="deno", resources={"metadata": {"path": folder}}
    )
    client.execute()
    print(json.dumps([cell.outputs for cell in notebook.cells if cell.cell_type == "code"]))
