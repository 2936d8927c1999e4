// The page of `semenet look`: the images are there from the beginning.
makeFilters();
const named = () => {
  const row = rows().find((each) => `#${each.id}` === location.hash);
  if (row) setOpen(row, true);
};
addEventListener("hashchange", named);
named();
if (rows().length === 1) setOpen(rows()[0], true);
