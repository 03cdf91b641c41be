/** Sizes of files, as people read them. */

const UNITS = ["byte", "kilobyte", "megabyte", "gigabyte"];

/** Returns a size such as "3.2 MB". */
export function fileSize(bytes) {
  const power = Math.min(UNITS.length - 1, Math.floor(Math.log10(Math.max(bytes, 1)) / 3));
  const options = { style: "unit", unit: UNITS[power], unitDisplay: power ? "short" : "long", maximumFractionDigits: 1 };
  return new Intl.NumberFormat("en", options).format(bytes / 1000 ** power);
}
