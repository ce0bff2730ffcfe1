// Draws nothing: hears a map canvas ask for the exact row under the pointer, asks Python, and hands the row on.
export default ({ data, setStateValue }) => {
  const content = unpack(data);
  const ask = ({ detail: { canvas, ...asked } }) => canvas === content.canvas && setStateValue("ask", asked);
  document.addEventListener("candor-ask", ask);
  if (content.row !== null) document.dispatchEvent(new CustomEvent("candor-row", { detail: content }));
  return () => document.removeEventListener("candor-ask", ask);
};
