import '../../../app.css';
