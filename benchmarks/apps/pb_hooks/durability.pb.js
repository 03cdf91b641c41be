// PocketBase writes through one connection, which by default does not wait for the disk. Here it does, as in Postline.
onBootstrap((e) => {
  e.next()
  $app.nonconcurrentDB().newQuery("PRAGMA synchronous = FULL").execute()
})

// Lets the benchmark check the setting.
routerAdd("GET", "/synchronous", (e) => {
  const row = new DynamicModel({ synchronous: 0 })
  $app.nonconcurrentDB().newQuery("PRAGMA synchronous").one(row)
  return e.json(200, row)
})
