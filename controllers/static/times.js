/** Times of posts, as the page shows them: in English, and in the order of the person's own country if that is English. */

const LANGUAGE = /^en\b/.test(navigator.language) ? navigator.language : "en";
const format = (options) => new Intl.DateTimeFormat(LANGUAGE, options);

const WEEKDAY_AND_DATE = { weekday: "long", month: "long", day: "numeric" };
const thisYear = format(WEEKDAY_AND_DATE);
const anotherYear = format({ ...WEEKDAY_AND_DATE, year: "numeric" });

/** Formats a time of day, such as "3:53 AM". */
export const timeOfDay = format({ timeStyle: "short" });

/** Formats a time in full. */
export const fullTime = format({ dateStyle: "full", timeStyle: "medium" });

/** Returns the midnight with which the day of a time began. */
export const dayOf = (time, daysLater = 0) => new Date(time.getFullYear(), time.getMonth(), time.getDate() + daysLater);

/** Returns the name of a day that began with this midnight: "Today", "Yesterday", or its weekday and date. */
export function nameOfDay(midnight) {
  const now = new Date();
  if (+midnight === +dayOf(now)) return "Today";
  if (+midnight === +dayOf(now, -1)) return "Yesterday";
  return (midnight.getFullYear() === now.getFullYear() ? thisYear : anotherYear).format(midnight);
}
