"""COVID-19, normal or pneumonia: networks of several exclusive classes, as papers/3 trains them (SPEC 3)."""
