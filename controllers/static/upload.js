/** Sends a file. `fetch` does not tell how much of a body was sent, so this is an XMLHttpRequest. */

/**
 * Returns the response to a POST of the file. `progressed(fraction)` is called as it is sent. Throws if there is no
 * answer, or when `signal` aborts.
 */
export function sendFile(url, file, headers, { progressed, signal }) {
  return new Promise((resolve, reject) => {
    const sending = new XMLHttpRequest();
    sending.open("POST", url);
    sending.responseType = "blob";
    for (const [name, value] of Object.entries(headers)) sending.setRequestHeader(name, value);
    sending.upload.addEventListener("progress", ({ loaded, total }) => progressed(total ? loaded / total : 1));
    sending.addEventListener("load", () => resolve(new Response(sending.response, { status: sending.status })));
    for (const name of ["error", "abort", "timeout"]) sending.addEventListener(name, () => reject(new Error(name)));
    signal.addEventListener("abort", () => sending.abort());
    signal.throwIfAborted();
    sending.send(file);
  });
}
