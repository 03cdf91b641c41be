/** Idempotency keys. */

/** Returns a key that nobody else has. Browsers offer crypto.randomUUID only on https and on localhost. */
export const randomKey = () => Array.from(crypto.getRandomValues(new Uint32Array(4)), (word) => word.toString(36)).join("-");
